/* The kernels of the trie's levels against their twins, over random tries. */
#include "kernels/kernel_testing.h"

enum { LEVELS = 4, NODES_MAX = 400 };

/* A trie as in plan.h. */
typedef struct {
    int units, nodes, inner_nodes, leaves;
    int level_inner[LEVELS + 1], level_end[LEVELS + 1];
    int32_t parent[NODES_MAX], child[NODES_MAX], child_first[NODES_MAX + 1], leaf_of_node[NODES_MAX];
    uint16_t token[NODES_MAX];
} trie;

enum { TYPES = 7 };

/* inner[t] and end[t] nodes on level t; inner nodes have at least one child. */
static trie *trie_new(int units, const int inner[LEVELS], const int end_nodes[LEVELS])
{
    trie *p = host_new(1, sizeof *p);
    p->units = units;
    for (int t = 0; t < LEVELS; t++)
        p->level_inner[t + 1] = p->level_inner[t] + inner[t];
    p->inner_nodes = p->level_end[0] = p->level_inner[LEVELS];
    for (int t = 0; t < LEVELS; t++)
        p->level_end[t + 1] = p->level_end[t] + end_nodes[t];
    p->nodes = p->level_end[LEVELS];
    assert_true(p->nodes <= NODES_MAX);
    for (int t = 0; t < LEVELS; t++) {
        int count = inner[t] + end_nodes[t], parents = t > 0 ? inner[t - 1] : 0;
        assert_true(t == 0 || count >= parents);
        for (int j = 0; j < count; j++) {
            int node = j < inner[t] ? p->level_inner[t] + j : p->level_end[t] + j - inner[t];
            int parent = j < parents ? j : t > 0 ? (int)random_below((uint32_t)parents) : 0;
            p->parent[node] = t > 0 ? p->level_inner[t - 1] + parent : -1;
            p->token[node] = (uint16_t)random_below(TYPES + 1);
            p->leaf_of_node[node] = j >= inner[t] || random_below(4) == 0 ? 0 : -1;
        }
    }
    for (int node = 0; node < p->inner_nodes; node++) {
        p->child_first[node + 1] = p->child_first[node];
        for (int j = 0; j < p->nodes; j++)
            if (p->parent[j] == node)
                p->child[p->child_first[node + 1]++] = j;
    }
    for (int node = p->nodes - 1; node >= 0; node--)
        if (p->leaf_of_node[node] == 0)
            p->leaf_of_node[node] = p->leaves++;
    return p;
}

static size_t inner_count(const trie *p, int t)
{
    return (size_t)(p->level_inner[t + 1] - p->level_inner[t]);
}

static size_t end_count(const trie *p, int t)
{
    return (size_t)(p->level_end[t + 1] - p->level_end[t]);
}

static trie *some_trie(int units, int kind)
{
    static const int inner[4][LEVELS] = {{3, 9, 17, 0}, {1, 1, 1, 1}, {1, 70, 33, 5}, {2, 3, 4, 5}};
    static const int end_nodes[4][LEVELS] = {{2, 5, 0, 31}, {0, 0, 0, 1}, {0, 11, 90, 40}, {1, 0, 0, 9}};
    trie *p = trie_new(units, inner[kind], end_nodes[kind]);
    return p;
}

/* ---- forward ---- */

typedef struct {
    bool above, keep_gates, leaves, compact, in_place;
    sg_operand operand;
} forward_kind;

/* Runs level t of `p`; `z` and the rest hold what `exact` says: zeros for sums, whole numbers for states. */
static void check_forward(const trie *p, int t, forward_kind kind, bool exact)
{
    size_t h = (size_t)p->units, inner = inner_count(p, t), ends = end_count(p, t);
    size_t parents = t > 0 ? inner_count(p, t - 1) : 0, size = operand_size(kind.operand);
    size_t rows = kind.compact ? inner + ends : (size_t)p->nodes;
    float low = exact ? 0 : -4, high = exact ? 0 : 4;
    sg_forward_level a = {.units = p->units, .operand = kind.operand}, b;
    a.inner = (int)inner;
    a.end = (int)ends;
    a.inner_node = p->level_inner[t];
    a.end_node = p->level_end[t];
    a.inner_row = kind.compact ? 0 : a.inner_node;
    a.end_row = kind.compact ? a.inner : a.end_node;
    a.parent = p->parent;
    a.parent_first = t > 0 ? p->level_inner[t - 1] : 0;
    a.z = t > 0 ? random_floats(parents * 4 * h, low, high) : NULL;
    a.c_before = t > 0 ? random_integers(parents * h, SG_OPERAND_FLOAT, 3) : NULL;
    a.token = kind.above ? NULL : p->token;
    a.table = kind.above ? NULL : random_floats((TYPES + 1) * 4 * h, low, high);
    a.x = kind.above ? random_floats(rows * 4 * h, low, high) : NULL;
    a.bias = kind.above ? random_floats(4 * h, low, high) : NULL;
    a.leaf_of_node = kind.leaves ? p->leaf_of_node : NULL;
    b = a;
    size_t nodes = (size_t)p->nodes;
    output *gates = kind.keep_gates ? output_new(rows * 4 * h * 4, kind.in_place ? a.x : NULL) : NULL;
    output *c = output_new(rows * h * 4, NULL), *state = output_new(rows * h * size, NULL);
    output *leaf = kind.leaves ? output_new((size_t)p->leaves * h * size, NULL) : NULL;
    b.parent = input(a.parent, nodes * sizeof *a.parent);
    b.z = input(a.z, parents * 4 * h * 4);
    b.c_before = input(a.c_before, parents * h * 4);
    b.token = input(a.token, nodes * sizeof *a.token);
    b.table = input(a.table, (TYPES + 1) * 4 * h * 4);
    b.x = kind.in_place ? gates->device : input(a.x, rows * 4 * h * 4);
    a.x = kind.in_place ? gates->host : a.x;
    b.bias = input(a.bias, 4 * h * 4);
    b.leaf_of_node = input(a.leaf_of_node, nodes * sizeof *a.leaf_of_node);
    a.gates = gates ? gates->host : NULL;
    b.gates = gates ? gates->device : NULL;
    a.c = c->host;
    b.c = c->device;
    a.h = state->host;
    b.h = state->device;
    a.leaf_h = leaf ? leaf->host : NULL;
    b.leaf_h = leaf ? leaf->device : NULL;
    run(sg_kernel_forward_level(&b, NULL), sg_twin_forward_level(&a));
    if (gates)
        assert_near(gates, SG_OPERAND_FLOAT, 1e-6);
    assert_near(c, SG_OPERAND_FLOAT, 2e-6);
    if (exact)
        assert_bits(c);
    assert_near(state, kind.operand, 2e-6);
    if (leaf)
        assert_near(leaf, kind.operand, 2e-6);
}

static void test_forward(void **state)
{
    static const int units[] = {4, 8, 132, 260, 1492};
    (void)state;
    for (int i = 0; i < 5; i++) {
        for (int round = 0; round < 16; round++) {
            begin();
            forward_kind kind = {.above = round & 1,
                                 .keep_gates = round & 2,
                                 .leaves = round & 4,
                                 .compact = round & 8,
                                 .operand = (round + i) % 3 ? SG_OPERAND_BF16 : SG_OPERAND_FLOAT};
            kind.in_place = kind.above && kind.keep_gates && round != 3;
            check_forward(some_trie(units[i], (int)random_below(units[i] > 1000 ? 2 : 4)),
                          (round + i) % LEVELS, kind, round % 5 == 0);
            end(NULL);
        }
    }
}

static void test_forward_parts(void **state)
{
    (void)state;
    begin();
    trie *p = some_trie(12, 2);
    forward_kind kind = {.keep_gates = true, .leaves = true};
    /* A level that only ends, one that only goes on, and one that is empty. */
    p->level_inner[3] = p->level_inner[2];
    check_forward(p, 2, kind, true);
    p->level_end[1] = p->level_end[2];
    check_forward(p, 1, kind, true);
    p->level_end[2] = p->level_end[3];
    check_forward(p, 2, kind, true);
}

/* ---- backward ---- */

typedef struct {
    bool leaves, above, in_place;
    sg_operand operand;
} backward_kind;

/* Numbers for which all products and sums of sg_cell_backward are exact. */
static void exact_states(const trie *p, float *gates, float *c)
{
    static const float gate[4] = {0.5f, 0.5f, 0.5f, 1.0f};
    size_t h = (size_t)p->units;
    for (size_t i = 0; i < (size_t)p->nodes * 4 * h; i++)
        gates[i] = gate[i / h % 4];
    /* tanh(0) is 0; what the level below has for c is up to the caller. */
    memset(c, 0, (size_t)p->nodes * h * sizeof *c);
}

static void check_backward(const trie *p, int t, backward_kind kind, bool exact)
{
    size_t h = (size_t)p->units, inner = inner_count(p, t), nodes = (size_t)p->nodes;
    size_t parents = t > 0 ? inner_count(p, t - 1) : 0, size = operand_size(kind.operand);
    float *gates = random_floats(nodes * 4 * h, -1, 1), *c = random_floats(nodes * h, -3, 3);
    sg_backward_level a = {.units = p->units, .operand = kind.operand, .inner_nodes = p->inner_nodes}, b;
    if (exact)
        exact_states(p, gates, c);
    for (size_t i = 0; exact && t > 0 && i < parents * h; i++)
        c[(size_t)p->level_inner[t - 1] * h + i] = (float)random_below(9) - 4;
    a.parents = (int)parents;
    a.parent_first = t > 0 ? p->level_inner[t - 1] : 0;
    a.inner = t > 0 ? -1 : (int)inner;
    a.end = t > 0 ? -1 : (int)end_count(p, t);
    a.inner_node = t > 0 ? -1 : p->level_inner[t];
    a.end_node = t > 0 ? -1 : p->level_end[t];
    a.child_inner = p->level_inner[t];
    a.child_first = p->child_first;
    a.child = p->child;
    a.gates = gates;
    a.c = c;
    a.dh = random_integers(inner * h, SG_OPERAND_FLOAT, 4);
    a.dc = random_integers(inner * h, SG_OPERAND_FLOAT, 4);
    a.leaf_of_node = kind.leaves ? p->leaf_of_node : NULL;
    a.leaf_gradient = kind.leaves ? random_integers((size_t)p->leaves * h, SG_OPERAND_FLOAT, 4) : NULL;
    a.from_above = kind.above ? random_integers(nodes * h, SG_OPERAND_FLOAT, 4) : NULL;
    b = a;
    output *dz = output_new(nodes * 4 * h * size, kind.in_place ? gates : NULL);
    output *z_sum = output_new(parents * 4 * h * size, NULL), *c_sum = output_new(parents * h * 4, NULL);
    b.child_first = input(a.child_first, ((size_t)p->inner_nodes + 1) * 4);
    b.child = input(a.child, (size_t)p->child_first[p->inner_nodes] * 4);
    b.gates = kind.in_place ? dz->device : input(gates, nodes * 4 * h * 4);
    a.gates = kind.in_place ? dz->host : gates;
    b.c = input(c, nodes * h * 4);
    b.dh = input(a.dh, inner * h * 4);
    b.dc = input(a.dc, inner * h * 4);
    b.leaf_of_node = input(a.leaf_of_node, nodes * 4);
    b.leaf_gradient = input(a.leaf_gradient, (size_t)p->leaves * h * 4);
    b.from_above = input(a.from_above, nodes * h * 4);
    a.dz = dz->host;
    b.dz = dz->device;
    a.z_sum = z_sum->host;
    b.z_sum = z_sum->device;
    a.c_sum = c_sum->host;
    b.c_sum = c_sum->device;
    run(sg_kernel_backward_level(&b, NULL), sg_twin_backward_level(&a));
    assert_near(dz, kind.operand, 2e-6);
    assert_near(z_sum, kind.operand, 4e-6);
    assert_near(c_sum, SG_OPERAND_FLOAT, 4e-6);
    if (exact) {
        assert_bits(dz);
        assert_bits(z_sum);
        assert_bits(c_sum);
    }
}

static void test_backward(void **state)
{
    static const int units[] = {4, 12, 132, 1492};
    (void)state;
    for (int i = 0; i < 4; i++) {
        for (int round = 0; round < 16; round++) {
            begin();
            backward_kind kind = {.leaves = round & 1,
                                  .above = round & 2,
                                  .operand = round & 4 ? SG_OPERAND_BF16 : SG_OPERAND_FLOAT};
            kind.in_place = kind.operand == SG_OPERAND_FLOAT && round & 8;
            check_backward(some_trie(units[i], (int)random_below(units[i] > 1000 ? 2 : 4)),
                           (round + i) % LEVELS, kind, round % 3 == 0);
            end(NULL);
        }
    }
}

/* ---- the table of tokens ---- */

static void check_token_table(int types, int columns)
{
    size_t n = (size_t)columns, m = (size_t)types;
    float *kernel = random_integers(m * n, SG_OPERAND_FLOAT, 100), *bias = random_floats(n, -1, 1);
    output *table = output_new((m + 1) * n * 4, NULL);
    run(sg_kernel_token_table(types, columns, input(kernel, m * n * 4), input(bias, n * 4), table->device,
                              NULL),
        sg_twin_token_table(types, columns, kernel, bias, table->host));
    assert_bits(table);
}

static void test_token_table(void **state)
{
    (void)state;
    begin();
    check_token_table(18, 5968);
    check_token_table(1, 16);
    check_token_table(0, 20);
    check_token_table(5, 0);
    check_token_table(3, 37);
    misalign(true);
    check_token_table(5, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        kernel_test(test_forward),
        kernel_test(test_forward_parts),
        kernel_test(test_backward),
        kernel_test(test_token_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
