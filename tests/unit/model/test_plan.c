/* Plans hold every row's steps, once for each unique prefix, in the order that products and sums rely on. */
#include "model/random_set.h"

enum { ROWS = 200 };

static void draw_rows(int32_t *rows, int32_t *labels, int count, int sequences, uint64_t seed)
{
    sg_random random = sg_random_open(seed, SG_RANDOM_BENCH, 1);
    for (int b = 0; b < count; b++) {
        uint32_t a = sg_random_below(&random, (uint32_t)sequences),
                 c = sg_random_below(&random, (uint32_t)sequences);
        rows[b] = (int32_t)(a < c ? a : c);
        labels[b] = rows[b] % 7 == 0 ? (int32_t)sg_random_below(&random, 3) : rows[b];
    }
}

static int level_of(const sg_plan *plan, int node)
{
    for (int t = 0; t < plan->steps; t++)
        if ((node >= plan->level_inner[t] && node < plan->level_inner[t + 1]) ||
            (node >= plan->level_end[t] && node < plan->level_end[t + 1]))
            return t;
    fail_msg("node %d is on no level", node);
    return -1;
}

/* Going up from a row's leaf spells its steps backwards. */
static void check_rows(const sg_plan *plan, const sg_sequences *set, const int32_t *rows)
{
    for (int b = 0; b < plan->rows; b++) {
        int leaf = plan->row_leaf[b], node = plan->leaf_node[leaf];
        const uint16_t *steps = set->token + (size_t)rows[b] * (size_t)set->steps;
        assert_int_equal(plan->leaf_sequence[leaf], rows[b]);
        assert_int_equal(level_of(plan, node), set->length[rows[b]] - 1);
        for (int t = set->length[rows[b]] - 1; t >= 0; t--) {
            assert_int_equal(plan->token[node], steps[t]);
            node = plan->parent[node];
        }
        assert_int_equal(node, -1);
    }
}

/* `trie`: no two children of a node show the same step. */
static void check_children(const sg_plan *plan, bool trie)
{
    int listed = 0;
    for (int p = 0; p < plan->inner_nodes; p++) {
        assert_true(plan->child_first[p] < plan->child_first[p + 1]);
        for (int k = plan->child_first[p]; k < plan->child_first[p + 1]; k++, listed++) {
            int node = plan->child[k];
            assert_int_equal(plan->parent[node], p);
            assert_int_equal(level_of(plan, node), level_of(plan, p) + 1);
            for (int j = plan->child_first[p]; j < k; j++) {
                assert_true(plan->child[j] < node);
                if (trie)
                    assert_int_not_equal(plan->token[plan->child[j]], plan->token[node]);
            }
        }
    }
    int roots = 0;
    for (int n = 0; n < plan->nodes; n++)
        roots += plan->parent[n] < 0;
    assert_int_equal(listed + roots, plan->nodes);
    assert_int_equal(roots,
                     plan->level_inner[1] - plan->level_inner[0] + plan->level_end[1] - plan->level_end[0]);
}

static void check_heads(const sg_plan *plan, const int32_t *labels, bool per_row)
{
    double weight = 0;
    assert_int_equal(plan->head_first[0], 0);
    assert_int_equal(plan->head_first[plan->leaves], plan->heads);
    for (int l = 0; l < plan->leaves; l++) {
        for (int k = plan->head_first[l]; k < plan->head_first[l + 1]; k++) {
            assert_int_equal(plan->head_leaf[k], l);
            assert_int_equal(plan->row_leaf[plan->head_row[k]], l);
            assert_int_equal(labels[plan->head_row[k]], plan->head_label[k]);
            int rows = 0;
            for (int b = 0; b < plan->rows; b++)
                rows += plan->row_leaf[b] == l && labels[b] == plan->head_label[k];
            assert_true(plan->head_weight[k] == (per_row ? 1.0f : (float)rows));
            weight += plan->head_weight[k];
        }
    }
    assert_true(weight == plan->rows);
}

/* Steps with one after them: of all rows, of their unique sequences, of the unique prefixes; counted one pair
 * at a time. */
static sg_product_rows count_product_rows(const sg_sequences *set, const int32_t *rows, int count)
{
    sg_product_rows all = {0};
    size_t steps = (size_t)set->steps;
    for (int b = 0; b < count; b++) {
        const uint16_t *x = set->token + (size_t)rows[b] * steps;
        bool seen = false;
        for (int k = 0; k < b; k++)
            seen = seen || rows[k] == rows[b];
        for (int t = 0; t + 1 < set->length[rows[b]]; t++) {
            bool shared = false;
            for (int k = 0; k < b; k++)
                shared = shared ||
                         (t + 1 < set->length[rows[k]] &&
                          memcmp(set->token + (size_t)rows[k] * steps, x, ((size_t)t + 1) * sizeof *x) == 0);
            all.dense++;
            all.unique += !seen;
            all.trie += !shared;
        }
    }
    return all;
}

static void check_product_rows(const sg_plan *plan, const sg_sequences *set, const int32_t *rows)
{
    sg_product_rows wanted = count_product_rows(set, rows, plan->rows);
    sg_product_rows got = sg_plan_compare_rows(plan, set);
    const int64_t own[] = {
        [SG_BATCHING_TRIE] = got.trie, [SG_BATCHING_UNIQUE] = got.unique, [SG_BATCHING_DENSE] = got.dense};
    assert_int_equal(got.dense, wanted.dense);
    assert_int_equal(got.unique, wanted.unique);
    assert_int_equal(got.trie, wanted.trie);
    assert_int_equal(plan->inner_nodes, own[plan->batching]);
}

/* A leaf for each row, or for each sequence that occurs. */
static void check_leaves(const sg_plan *plan, const int32_t *rows)
{
    int unique = 0;
    for (int b = 0; b < plan->rows; b++) {
        bool seen = false;
        for (int k = 0; k < b; k++)
            seen = seen || rows[k] == rows[b];
        unique += !seen;
    }
    assert_int_equal(plan->leaves, plan->batching == SG_BATCHING_DENSE ? plan->rows : unique);
}

static void check_plan(sg_padding padding, sg_batching batching, bool per_row, uint64_t seed)
{
    sg_spec spec = {
        .message_types = 3, .max_length = 9, .units = 1, .classes = 100, .layers = 1, .padding = padding};
    random_set r;
    sg_plan plan = {0};
    int32_t rows[ROWS], labels[ROWS];
    random_set_make(&r, &spec, 60, seed);
    for (int count = 1; count <= ROWS; count = count * 3 + 1) {
        draw_rows(rows, labels, count, r.count, seed + (uint64_t)count);
        assert_ok(sg_plan_build(&plan, &r.set, rows, labels, count, batching, per_row));
        bool dense = batching == SG_BATCHING_DENSE;
        check_rows(&plan, &r.set, rows);
        check_children(&plan, batching == SG_BATCHING_TRIE);
        check_heads(&plan, labels, per_row || dense);
        check_leaves(&plan, rows);
        check_product_rows(&plan, &r.set, rows);
        assert_ok(sg_plan_build(&plan, &r.set, rows, NULL, count, batching, false));
        assert_int_equal(plan.heads, 0);
    }
    sg_plan_free(&plan);
    random_set_free(&r);
}

static void test_plans(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++)
        for (int padding = SG_PADDING_POST; padding <= SG_PADDING_PRE; padding++)
            for (int batching = SG_BATCHING_TRIE; batching <= SG_BATCHING_DENSE; batching++)
                for (int per_row = 0; per_row < 2; per_row++)
                    check_plan((sg_padding)padding, (sg_batching)batching, per_row, seed);
}

/* Two dialogs, ab and ac, post padding, three steps: a | b c | 0 0. */
static void test_by_hand(void **state)
{
    (void)state;
    sg_spec spec = {.message_types = 3, .max_length = 3, .units = 1, .classes = 3, .layers = 1};
    const uint16_t sequence[] = {1, 3, 0, 1, 2, 0}, length[] = {2, 2};
    const int32_t rows[] = {0, 1, 0}, labels[] = {0, 1, 0};
    sg_sequences set;
    sg_plan plan = {0};
    assert_ok(sg_sequences_make(&set, &spec, sequence, length, 2));
    assert_ok(sg_plan_build(&plan, &set, rows, labels, 3, SG_BATCHING_TRIE, false));
    assert_int_equal(plan.nodes, 5);
    assert_int_equal(plan.inner_nodes, 3);
    const int32_t parent[] = {-1, 0, 0, 1, 2};
    const uint16_t token[] = {1, 2, 3, 0, 0};
    assert_memory_equal(plan.parent, parent, sizeof parent);
    assert_memory_equal(plan.token, token, sizeof token);
    assert_int_equal(plan.leaves, 2);
    assert_true(plan.head_weight[0] == 1 && plan.head_weight[1] == 2);
    /* Each sequence once, the a not shared: a a | b c | 0 0. */
    assert_ok(sg_plan_build(&plan, &set, rows, labels, 3, SG_BATCHING_UNIQUE, false));
    const int32_t own_parent[] = {-1, -1, 0, 1, 2, 3};
    const uint16_t own_token[] = {1, 1, 2, 3, 0, 0};
    assert_int_equal(plan.nodes, 6);
    assert_int_equal(plan.inner_nodes, 4);
    assert_memory_equal(plan.parent, own_parent, sizeof own_parent);
    assert_memory_equal(plan.token, own_token, sizeof own_token);
    assert_int_equal(plan.leaves, 2);
    assert_true(plan.head_weight[0] == 1 && plan.head_weight[1] == 2);
    sg_plan_free(&plan);
    sg_sequences_free(&set);
}

/* Padding says where zeros stand and how many steps are run. */
static void test_padding(void **state)
{
    (void)state;
    const uint16_t sequence[] = {2, 1, 0, 0}, length[] = {2};
    const uint16_t wanted[3][4] = {{2, 1, 0, 0}, {2, 1, 0, 0}, {0, 0, 2, 1}};
    for (int padding = SG_PADDING_POST; padding <= SG_PADDING_PRE; padding++) {
        sg_spec spec = {.message_types = 2, .max_length = 4, .units = 1, .classes = 3, .layers = 1};
        sg_sequences set;
        spec.padding = (sg_padding)padding;
        assert_ok(sg_sequences_make(&set, &spec, sequence, length, 1));
        assert_memory_equal(set.token, wanted[padding], sizeof wanted[padding]);
        assert_int_equal(set.length[0], padding == SG_PADDING_MASK ? 2 : 4);
        sg_sequences_free(&set);
    }
}

static void test_names(void **state)
{
    (void)state;
    char names[64];
    snprintf(names, sizeof names, "%s|%s|%s", sg_batching_name(SG_BATCHING_TRIE),
             sg_batching_name(SG_BATCHING_UNIQUE), sg_batching_name(SG_BATCHING_DENSE));
    assert_string_equal(names, SG_BATCHING_CHOICES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plans), cmocka_unit_test(test_by_hand),
                                       cmocka_unit_test(test_padding), cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
