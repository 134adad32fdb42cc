/* engine.h: the interface to everything that computes.
 *
 * An engine holds the weights and the optimizer's state of one network.  `gradients` and `apply` are separate
 * so that gradients can be summed over processes in between.  Engines give the same numbers up to rounding,
 * and the same bits from run to run on one machine (`cudnn`: as far as cuDNN's LSTM does).
 */
#ifndef SG_ENGINE_ENGINE_H
#define SG_ENGINE_ENGINE_H

#include "model/params.h"
#include "model/plan.h"

typedef enum { SG_DEVICE_AUTO, SG_DEVICE_CPU, SG_DEVICE_CUDA, SG_DEVICE_CUDNN } sg_device;

/* What products are computed in.  auto: bf16 if the processor has matrix units for it (AMX; GPUs from sm_80
 * on), else fp32. tf32, operands with a mantissa of 10 bits, is a mode of GPUs. */
typedef enum { SG_PRECISION_AUTO, SG_PRECISION_FP32, SG_PRECISION_TF32, SG_PRECISION_BF16 } sg_precision;
#define SG_PRECISION_CHOICES "auto|fp32|tf32|bf16"

typedef struct {
    sg_device device;
    int device_index;
    sg_precision precision;
    int threads;   /* of the CPU engine; 0: all cores this process may use */
    bool graphs;   /* cuda: launch each step as one CUDA graph */
    bool announce; /* print a note, once per thread, saying which device `auto` chose */
} sg_engine_options;

/* "auto", "cpu", "cuda", "cuda:1", "cudnn"; SG_E_USAGE for anything else. */
sg_status sg_device_parse(const char *text, sg_device *device, int *index);

typedef struct sg_engine sg_engine;

/* Opens an engine for networks of this shape.  SG_E_DEVICE says why a device cannot be used.  auto is the
 * first usable CUDA device, or else the CPU. */
sg_status sg_engine_open(sg_engine **engine, const sg_spec *spec, const sg_engine_options *options);
void sg_engine_close(sg_engine *engine); /* NULL is fine */

/* "cpu, fp32, 2 threads, oneDNN 2.6.3 (avx512)", for tables of settings and provenance. */
const char *sg_engine_description(const sg_engine *engine);
const char *sg_engine_precision_name(const sg_engine *engine);
const char *sg_engine_device_name(const sg_engine *engine);

/* Versions of the libraries of a GPU engine, as they report them: 13020 is CUDA 13.2, 130100 cuBLAS 13.1.0,
 * 91900 cuDNN 9.19.0.  0: the engine does not use it. */
typedef struct {
    int driver, cuda; /* the CUDA version that the driver supports, and that of the runtime */
    int cublas, cudnn;
} sg_versions;

void sg_engine_versions(const sg_engine *engine, sg_versions *versions);

/* Whether equal prefixes of a plan with batching `trie` are computed once.  cudnn cannot: it trains on such a
 * plan as if it were `dense`, and infers its unique sequences. */
bool sg_engine_shares_prefixes(const sg_engine *engine);

/* Copies weights in (discarding everything derived from old ones) or out. */
sg_status sg_engine_load(sg_engine *engine, const sg_params *params);
sg_status sg_engine_store(sg_engine *engine, sg_params *params);

/* Adam's moment estimates in or out; zero after open. */
sg_status sg_engine_load_optimizer(sg_engine *engine, const sg_params *m, const sg_params *v);
sg_status sg_engine_store_optimizer(sg_engine *engine, sg_params *m, sg_params *v);

typedef struct {
    const sg_plan *plan;
    uint64_t dropout_seed; /* dropout masks are a function of (seed, update, row, unit) */
    uint32_t update;       /* number of this update, from 1 */
    const float *mask;     /* [rows, H] scaled masks to use instead, or NULL */
} sg_batch;

typedef struct {
    double loss;   /* mean cross-entropy over the rows */
    int64_t right; /* rows whose largest output is their label, before the update */
} sg_step_result;

/* Forward and backward of one batch; the gradients stay in the engine until `apply`.  SG_E_NUMERIC if the
 * loss is not finite (nothing is changed then). */
sg_status sg_engine_gradients(sg_engine *engine, const sg_batch *batch, sg_step_result *result);
sg_status sg_engine_store_gradients(sg_engine *engine, sg_params *gradients);

typedef struct {
    double learning_rate, beta1, beta2, epsilon;
    double clip_norm; /* bound on the norm of the whole gradient; 0: none */
    int64_t update;   /* t, from 1 */
} sg_adam;

/* One Adam update in Keras' form: w -= lr sqrt(1 - b2^t)/(1 - b1^t) m / (sqrt(v) + eps).  *norm, if not NULL,
 * receives the gradient's norm before clipping (computed only if asked for or clipping). */
sg_status sg_engine_apply(sg_engine *engine, const sg_adam *adam, double *norm);

/* ---- steps in flight: gradients and update at once, without waiting for the result ---- */

enum { SG_STEPS_IN_FLIGHT = 2 };

/* Begins one training step; at most SG_STEPS_IN_FLIGHT may be begun and not collected.  The plan may be
 * rebuilt as soon as this returns, so a device works while the host prepares the next batch.  The CPU engine
 * runs the step here. */
sg_status sg_engine_begin_step(sg_engine *engine, const sg_batch *batch, const sg_adam *adam);

/* Waits for the oldest step begun; *norm (may be NULL) receives its gradient's norm before clipping.
 * SG_E_NUMERIC if loss or gradient was not finite: that step and those begun after it changed nothing and are
 * discarded. */
sg_status sg_engine_end_step(sg_engine *engine, sg_step_result *result, double *norm);
int sg_engine_steps_begun(const sg_engine *engine); /* and not yet collected */

/* The network's outputs for each leaf of a plan. */
typedef struct {
    int count;
    int32_t *argmax;      /* class of the largest output, the lowest on ties */
    float *p_max;         /* its probability */
    double *skewness;     /* of the N outputs, divided by the one-hot maximum (N-2)/sqrt(N-1) */
    double *kurtosis;     /* non-excess, divided by (N^2-3N+3)/(N-1) */
    float *probabilities; /* [count, N], or NULL if not needed */
} sg_outputs;

sg_status sg_outputs_alloc(sg_outputs *outputs, int count, int classes, bool probabilities);
void sg_outputs_free(sg_outputs *outputs);

/* Fills `outputs` (count = plan->leaves) for the leaves of a plan made without labels.  No dropout. */
sg_status sg_engine_infer(sg_engine *engine, const sg_plan *plan, sg_outputs *outputs);

enum { SG_INFER_BLOCK = 4096 }; /* sequences run at once; with post padding each has a tail of its own */

/* infer over sequences sorted[first] ... sorted[first + count - 1] of a set, neighbours of which share
 * prefixes; and over all of them in blocks.  Outputs are indexed by sequence number. */
sg_status sg_engine_infer_sorted(sg_engine *engine, const sg_sequences *set, int first, int count,
                                 sg_outputs *outputs);
sg_status sg_engine_infer_all(sg_engine *engine, const sg_sequences *set, sg_outputs *outputs);

/* How the time since the last reset was spent. */
typedef enum {
    SG_PHASE_PACKING,   /* moving batches and weights into the layouts that products need */
    SG_PHASE_FORWARD,   /* recurrent and input products, forward */
    SG_PHASE_BACKWARD,  /* the same, backward to states */
    SG_PHASE_WEIGHTS,   /* products that give weight gradients */
    SG_PHASE_HEAD,      /* dense layer products */
    SG_PHASE_POINTWISE, /* gates, segment sums, bias and token sums */
    SG_PHASE_SOFTMAX,   /* softmax, cross-entropy, moments */
    SG_PHASE_ADAM,
    SG_PHASES
} sg_phase;

typedef struct {
    double seconds[SG_PHASES];
    double flops[SG_PHASES]; /* of products, as run */
} sg_timing;

void sg_engine_reset_timing(sg_engine *engine);
void sg_engine_timing(const sg_engine *engine, sg_timing *timing);

/* Switches timing by phase on or off; operations are always counted.  On the CPU timing costs nothing and is
 * always on.  On a GPU it costs some speed, is off at first, and the times are complete once it is switched
 * off again.  There the products of a phase are run once more, back to back on separate operands, and these
 * runs are timed; cuDNN's LSTM and everything else is timed in place. */
sg_status sg_engine_take_times(sg_engine *engine, bool on);
const char *sg_phase_name(sg_phase phase);

/* Rates of the recurrent products when each runs alone, in GFLOP/s: the reference for the products of a
 * step. */
typedef struct {
    double forward;  /* [level_rows, H] x [H, 4H] */
    double backward; /* [level_rows, 4H] x [4H, H] */
    double weights;  /* [H, all_rows] x [all_rows, 4H] */
} sg_peak;

/* Measures them, both row counts >= 1; takes a few seconds. */
sg_status sg_engine_peak(sg_engine *engine, int64_t level_rows, int64_t all_rows, sg_peak *peak);

/* The limits of this machine, for computing shares. */
typedef struct {
    int64_t size;      /* square matrices of the product; bytes / 4 of the copy */
    int rows, columns; /* probabilities whose moments are taken */
    int repeats;
} sg_ceilings_shape;

typedef struct {
    double copy_gbs;    /* memory to memory on the device: bytes read plus bytes written, in GB/s */
    double gemm_gflops; /* one large product in the engine's precision, random operands */
    double moments_gbs; /* moments kernel: bytes of probabilities read, in GB/s */
} sg_ceilings;

/* Medians over shape->repeats measurements, each of some milliseconds on a GPU. */
sg_status sg_engine_ceilings(sg_engine *engine, const sg_ceilings_shape *shape, sg_ceilings *ceilings);

/* ---- which devices there are ---- */

/* Calls `visit` for the CPU and for every engine and device of the GPU modules: its name for --device
 * ("cuda:0"), whether it can be used, and what it is or why not.  A module that cannot be used at all has one
 * entry ("cuda").  Stops at the first failure of `visit`. */
typedef sg_status (*sg_device_visitor)(const char *name, bool usable, const char *text, void *context);
sg_status sg_devices_visit(sg_device_visitor visit, void *context);

#endif
