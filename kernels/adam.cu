/* adam.cu: the optimizer, fused with clipping and with rounding the new weights to bf16.
 *
 * A thread has 4 weights: four 16-byte loads in flight, 30 bytes of traffic per weight, nothing to reuse. The
 * device reads whether the step failed and the norm of the gradient, so the host does not wait for either
 * before it enqueues the update.
 */
#include "kernels/device.cuh"

namespace
{

enum { ADAM_THREADS = 256 };

template <int V> __device__ __forceinline__ void update(const sg_adam_update &a, int64_t i, float scale)
{
    sg_pack<V> gradient = sg_load<V>(a.gradient + i);
    sg_pack<V> w = sg_load<V>(a.w + i), m = sg_load<V>(a.m + i), v = sg_load<V>(a.v + i);
    SG_UNROLL
    for (int j = 0; j < V; j++)
        sg_adam_element(&w.v[j], &m.v[j], &v.v[j], gradient.v[j] * scale, a.rate, a.gain1, a.gain2,
                        a.epsilon);
    sg_store(a.w + i, w);
    sg_store(a.m + i, m);
    sg_store(a.v + i, v);
    if (a.w_bf16)
        sg_store(a.w_bf16 + i, w);
}

__global__ void __launch_bounds__(ADAM_THREADS) adam(sg_adam_update a)
{
    int64_t i = 4 * ((int64_t)blockIdx.x * ADAM_THREADS + threadIdx.x);
    double norm = a.outcome->norm;
    if (a.outcome->failed || i >= a.count)
        return;
    float scale = a.clip_norm > 0 && norm > a.clip_norm ? (float)(a.clip_norm / norm) : 1.0f;
    if (i + 4 <= a.count) {
        update<4>(a, i, scale);
        return;
    }
    for (; i < a.count; i++)
        update<1>(a, i, scale);
}

} // namespace

int sg_kernel_adam(const sg_adam_update *update, sg_stream stream)
{
    if (update->count == 0)
        return 0;
    int64_t blocks = sg_blocks(update->count, 4 * ADAM_THREADS);
    return sg_launch_elements(adam, dim3((unsigned)blocks), dim3(ADAM_THREADS), stream, *update);
}
