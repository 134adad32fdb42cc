/* backend.h: what an engine must provide.  engine.c checks arguments and forwards through this table, so that
 * a backend can also live in a module that is loaded at run time.
 */
#ifndef SG_ENGINE_BACKEND_H
#define SG_ENGINE_BACKEND_H

#include "engine/engine.h"

typedef struct {
    sg_status (*open)(void **self, const sg_spec *spec, const sg_engine_options *options);
    void (*close)(void *self);
    const char *(*description)(const void *self);
    const char *(*precision)(const void *self);
    sg_status (*load)(void *self, const float *weights);
    sg_status (*store)(void *self, float *weights);
    sg_status (*load_optimizer)(void *self, const float *m, const float *v);
    sg_status (*store_optimizer)(void *self, float *m, float *v);
    sg_status (*gradients)(void *self, const sg_batch *batch, sg_step_result *result);
    sg_status (*store_gradients)(void *self, float *gradients);
    sg_status (*apply)(void *self, const sg_adam *adam, double *norm);
    sg_status (*infer)(void *self, const sg_plan *plan, sg_outputs *outputs);
    sg_timing *(*timing)(void *self);
    sg_status (*peak)(void *self, int64_t level_rows, int64_t all_rows, sg_peak *peak);
} sg_backend;

extern const sg_backend sg_cpu_backend;

#endif
