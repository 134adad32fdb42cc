/* backend.h: what an engine must provide.  engine.c checks arguments and forwards through this table, so that
 * a backend can also live in a module that is loaded at run time.
 */
#ifndef SG_ENGINE_BACKEND_H
#define SG_ENGINE_BACKEND_H

#include "engine/engine.h"

typedef struct {
    /* Whether training runs the nodes of a plan.  If not, it runs the unique sequences with batching
     * `unique`, and every row with the others; inference runs unique sequences. */
    bool shares_prefixes;
    sg_status (*open)(void **self, const sg_spec *spec, const sg_engine_options *options);
    void (*close)(void *self);
    const char *(*description)(const void *self);
    const char *(*precision)(const void *self);
    void (*versions)(const void *self, sg_versions *versions); /* written over zeros; NULL: they stay zero */
    sg_status (*load)(void *self, const float *weights);
    sg_status (*store)(void *self, float *weights);
    sg_status (*load_optimizer)(void *self, const float *m, const float *v);
    sg_status (*store_optimizer)(void *self, float *m, float *v);
    sg_status (*gradients)(void *self, const sg_batch *batch, sg_step_result *result);
    sg_status (*store_gradients)(void *self, float *gradients);
    sg_status (*apply)(void *self, const sg_adam *adam, double *norm);
    /* Steps in flight; NULL: engine.c runs gradients and apply at once and keeps the result. */
    sg_status (*begin_step)(void *self, const sg_batch *batch, const sg_adam *adam);
    sg_status (*end_step)(void *self, sg_step_result *result, double *norm);
    sg_status (*infer)(void *self, const sg_plan *plan, sg_outputs *outputs);
    sg_timing *(*timing)(void *self);
    /* Brings `timing` up to date and switches timing on or off; NULL if it is always on. */
    sg_status (*take_times)(void *self, bool on);
    sg_status (*peak)(void *self, int64_t level_rows, int64_t all_rows, sg_peak *peak);
    sg_status (*ceilings)(void *self, const sg_ceilings_shape *shape, sg_ceilings *ceilings);
} sg_backend;

extern const sg_backend sg_cpu_backend;

/* ---- modules ---- */

/* What a module, sipgpu_<name>.so, exports under SG_MODULE_SYMBOL.  It has its own copy of base/status.c, so
 * it provides the text of its last error in this thread. */
typedef struct {
    uint32_t abi;     /* SG_MODULE_ABI: both sides were built from the same headers */
    const char *name; /* "cuda", "cudnn" */
    const char *(*error_text)(void);
    /* Number of devices; SG_E_DEVICE if there is none, with the reason. */
    sg_status (*count)(int *count);
    /* What device `index` is; SG_E_DEVICE if it cannot be used. */
    sg_status (*describe)(int index, char *text, size_t size);
    const sg_backend *backend;
} sg_module;

#define SG_MODULE_SYMBOL "sipgpu_module"

/* Changes whenever a struct that crosses the boundary changes its size. */
#define SG_MODULE_ABI                                                                              \
    ((uint32_t)(sizeof(sg_backend) * 31 + sizeof(sg_plan) * 29 + sizeof(sg_spec) * 23 +            \
                sizeof(sg_outputs) * 19 + sizeof(sg_batch) * 17 + sizeof(sg_engine_options) * 13 + \
                sizeof(sg_timing) * 11 + 1))

/* The module of that name, opened on first use and kept; SG_E_DEVICE says why there is none. */
sg_status sg_module_open(const char *name, const sg_module **module);

/* Records the module's error as this program's; returns `status`. */
sg_status sg_module_failed(const sg_module *module, sg_status status);

#endif
