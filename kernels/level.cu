/* level.cu: one level of the trie, forward and backward.
 *
 * Forward fuses: the parent's row of the recurrent product, what the token (or the layer below) and the bias
 * contribute, the cell, the rounding of h to an operand, and the copy of h for nodes that are leaves.  A
 * thread has 4 units of one node: 16 bytes of each of up to 10 rows, all loaded before the first is needed.
 *
 * Backward fuses: what reaches h and c of each child from later steps, the head and the layer above, the
 * cell's gradient, the rounding of dz, and the sums over children.  A thread has 4 units of one parent and
 * takes its children in order, so sums need neither atomics nor a second pass.  gates, c and the sums are
 * read and written once; between levels are the products, so levels cannot be fused.
 */
#include "kernels/device.cuh"

namespace
{

/* Four gates of four units. */
struct gate_pack {
    sg_pack<4> gate[4];
};

template <typename T> __device__ __forceinline__ gate_pack load_gates(const T *row, int64_t units)
{
    gate_pack g;
    SG_UNROLL
    for (int k = 0; k < 4; k++)
        g.gate[k] = sg_load<4>(row + k * units);
    return g;
}

template <typename T> __device__ __forceinline__ void store_gates(T *row, int64_t units, const gate_pack &g)
{
    SG_UNROLL
    for (int k = 0; k < 4; k++)
        sg_store(row + k * units, g.gate[k]);
}

__device__ __forceinline__ void add_gates(gate_pack *to, const gate_pack &g)
{
    SG_UNROLL
    for (int k = 0; k < 4; k++)
        to->gate[k] = to->gate[k] + g.gate[k];
}

/* ---- forward ---- */

/* Activations into *z; cell states and outputs into *c and *h. */
__device__ __forceinline__ void forward_cells(gate_pack *z, const sg_pack<4> &c_before, sg_pack<4> *c,
                                              sg_pack<4> *h)
{
    SG_UNROLL
    for (int j = 0; j < 4; j++) {
        sg_cell cell = sg_cell_forward(z->gate[0].v[j], z->gate[1].v[j], z->gate[2].v[j], z->gate[3].v[j],
                                       c_before.v[j]);
        z->gate[0].v[j] = cell.i;
        z->gate[1].v[j] = cell.f;
        z->gate[2].v[j] = cell.g;
        z->gate[3].v[j] = cell.o;
        c->v[j] = cell.c;
        h->v[j] = cell.h;
    }
}

template <typename T>
__global__ void __launch_bounds__(SG_TILE_THREADS) forward(sg_forward_level l, int tiles)
{
    int64_t j = sg_tile_row(tiles), units = l.units;
    int unit = sg_tile_column<4>(tiles);
    if (j >= l.inner + l.end || unit >= units)
        return;
    int64_t node = j < l.inner ? l.inner_node + j : l.end_node + (j - l.inner);
    int64_t row = j < l.inner ? l.inner_row + j : l.end_row + (j - l.inner);
    int leaf = l.leaf_of_node ? l.leaf_of_node[node] : -1;
    const float *from = l.table ? l.table + l.token[node] * 4 * units : l.x + row * 4 * units;
    gate_pack x = load_gates(from + unit, units), z = {};
    sg_pack<4> c_before = {}, c, h;
    if (l.z) {
        int64_t parent = l.parent[node] - l.parent_first;
        z = load_gates(l.z + parent * 4 * units + unit, units);
        c_before = sg_load<4>(l.c_before + parent * units + unit);
    }
    add_gates(&z, x);
    if (l.bias)
        add_gates(&z, load_gates(l.bias + unit, units));
    forward_cells(&z, c_before, &c, &h);
    if (l.gates)
        store_gates(l.gates + row * 4 * units + unit, units, z);
    sg_store(l.c + row * units + unit, c);
    sg_store(static_cast<T *>(l.h) + row * units + unit, h);
    if (leaf >= 0)
        sg_store(static_cast<T *>(l.leaf_h) + leaf * units + unit, h);
}

/* ---- backward ---- */

/* What reaches 4 units of h and c of one node. */
struct state_gradient {
    sg_pack<4> h, c;
};

__device__ __forceinline__ state_gradient reaching(const sg_backward_level &l, int64_t node, int unit)
{
    int64_t units = l.units;
    state_gradient d = {};
    int leaf = l.leaf_of_node ? l.leaf_of_node[node] : -1;
    if (node < l.inner_nodes) {
        int64_t at = (node - l.child_inner) * units + unit;
        d.h = sg_load<4>(l.dh + at);
        d.c = sg_load<4>(l.dc + at);
    }
    if (leaf >= 0)
        d.h = d.h + sg_load<4>(l.leaf_gradient + leaf * units + unit);
    if (l.from_above)
        d.h = d.h + sg_load<4>(l.from_above + node * units + unit);
    return d;
}

/* One node: writes its dz, adds dz to *z_sum and the parent's share of dc to *c_sum. */
template <typename T>
__device__ __forceinline__ void backward_node(const sg_backward_level &l, int64_t node, int unit,
                                              const sg_pack<4> &c_before, gate_pack *z_sum, sg_pack<4> *c_sum)
{
    int64_t units = l.units;
    gate_pack a = load_gates(l.gates + node * 4 * units + unit, units);
    sg_pack<4> c = sg_load<4>(l.c + node * units + unit);
    state_gradient reach = reaching(l, node, unit);
    SG_UNROLL
    for (int j = 0; j < 4; j++) {
        sg_cell_gradient d = sg_cell_backward(a.gate[0].v[j], a.gate[1].v[j], a.gate[2].v[j], a.gate[3].v[j],
                                              c.v[j], c_before.v[j], reach.h.v[j], reach.c.v[j]);
        a.gate[0].v[j] = d.zi;
        a.gate[1].v[j] = d.zf;
        a.gate[2].v[j] = d.zg;
        a.gate[3].v[j] = d.zo;
        c_sum->v[j] += d.c_before;
    }
    store_gates(static_cast<T *>(l.dz) + node * 4 * units + unit, units, a);
    add_gates(z_sum, a);
}

/* Level 0: the sums are discarded. */
template <typename T>
__global__ void __launch_bounds__(SG_TILE_THREADS) backward_first(sg_backward_level l, int tiles)
{
    int64_t j = sg_tile_row(tiles);
    int unit = sg_tile_column<4>(tiles);
    if (j >= l.inner + l.end || unit >= l.units)
        return;
    int64_t node = j < l.inner ? l.inner_node + j : l.end_node + (j - l.inner);
    gate_pack z_sum = {};
    sg_pack<4> c_sum = {};
    backward_node<T>(l, node, unit, sg_zeros<4>(), &z_sum, &c_sum);
}

template <typename T>
__global__ void __launch_bounds__(SG_TILE_THREADS) backward_parents(sg_backward_level l, int tiles)
{
    int64_t q = sg_tile_row(tiles), units = l.units;
    int unit = sg_tile_column<4>(tiles);
    if (q >= l.parents || unit >= units)
        return;
    int64_t parent = l.parent_first + q;
    int k = __ldg(l.child_first + parent), last = __ldg(l.child_first + parent + 1);
    /* The compiler must assume that the stores of a child change the number of the next one: fetch it
     * first. */
    int node = k < last ? __ldg(l.child + k) : 0;
    sg_pack<4> c_before = sg_load<4>(l.c + parent * units + unit), c_sum = {};
    gate_pack z_sum = {};
    for (; k < last; k++) {
        int next = k + 1 < last ? __ldg(l.child + k + 1) : 0;
        backward_node<T>(l, node, unit, c_before, &z_sum, &c_sum);
        node = next;
    }
    store_gates(static_cast<T *>(l.z_sum) + q * 4 * units + unit, units, z_sum);
    sg_store(l.c_sum + q * units + unit, c_sum);
}

/* ---- the table of tokens ---- */

template <int V>
__global__ void __launch_bounds__(SG_TILE_THREADS)
    token_table(int types, int columns, const float *__restrict__ kernel, const float *__restrict__ bias,
                float *__restrict__ table, int tiles)
{
    int64_t m = sg_tile_row(tiles);
    int column = sg_tile_column<V>(tiles);
    if (m > types || column >= columns)
        return;
    sg_pack<V> sum = sg_load<V>(bias + column);
    if (m > 0)
        sum = sum + sg_load<V>(kernel + (m - 1) * columns + column);
    sg_store(table + m * columns + column, sum);
}

} // namespace

int sg_kernel_forward_level(const sg_forward_level *level, sg_stream stream)
{
    int64_t nodes = (int64_t)level->inner + level->end;
    if (nodes == 0 || level->units == 0)
        return 0;
    sg_tiling t = sg_tile(nodes, level->units, 4);
    auto kernel = level->operand == SG_OPERAND_BF16 ? forward<uint16_t> : forward<float>;
    return sg_launch_elements(kernel, t.grid, t.block, stream, *level, t.tiles);
}

int sg_kernel_backward_level(const sg_backward_level *level, sg_stream stream)
{
    bool first = level->parents == 0;
    int64_t rows = first ? (int64_t)level->inner + level->end : level->parents;
    if (rows == 0 || level->units == 0)
        return 0;
    sg_tiling t = sg_tile(rows, level->units, 4);
    auto kernel = first ? backward_first<float> : backward_parents<float>;
    if (level->operand == SG_OPERAND_BF16)
        kernel = first ? backward_first<uint16_t> : backward_parents<uint16_t>;
    return sg_launch_elements(kernel, t.grid, t.block, stream, *level, t.tiles);
}

int sg_kernel_token_table(int types, int columns, const float *kernel, const float *bias, float *table,
                          sg_stream stream)
{
    if (columns == 0)
        return 0;
    bool packs = sg_packs_fit(columns, kernel, sizeof(float)) && sg_packs_fit(columns, bias, sizeof(float)) &&
                 sg_packs_fit(columns, table, sizeof(float));
    sg_tiling t = sg_tile((int64_t)types + 1, columns, packs ? 4 : 1);
    return sg_launch_elements(packs ? token_table<4> : token_table<1>, t.grid, t.block, stream, types,
                              columns, kernel, bias, table, t.tiles);
}
