/* The trie of beginnings against a plain list of the sequences. */
#include "detect/prefixes.h"

#include "base/philox.h"
#include "testing.h"

typedef struct {
    int count, steps;
    uint16_t *sequence, *length;
    int64_t *weight;
    sg_prefixes *prefixes;
} list;

static void open_list(list *l, int count, int steps, uint32_t types, uint64_t seed)
{
    sg_random random = sg_random_open(seed, SG_RANDOM_BENCH, 0);
    *l = (list){.count = count, .steps = steps};
    l->sequence = calloc((size_t)count * (size_t)steps, sizeof *l->sequence);
    l->length = calloc((size_t)count, sizeof *l->length);
    l->weight = calloc((size_t)count, sizeof *l->weight);
    for (int s = 0; s < count; s++) {
        l->length[s] = (uint16_t)sg_random_below(&random, (uint32_t)steps + 1);
        l->weight[s] = sg_random_below(&random, 4);
        for (int t = 0; t < l->length[s]; t++)
            l->sequence[s * steps + t] = (uint16_t)(1 + sg_random_below(&random, types));
    }
    assert_ok(sg_prefixes_open(&l->prefixes, l->sequence, l->length, l->weight, count, steps));
}

static void close_list(list *l)
{
    sg_prefixes_close(l->prefixes);
    free(l->sequence);
    free(l->length);
    free(l->weight);
}

/* Weight of the sequences that begin with these types, or are these. */
static int64_t count_naively(const list *l, const uint16_t *types, int length, bool whole)
{
    int64_t sum = 0;
    for (int s = 0; s < l->count; s++)
        if (l->length[s] >= length && (!whole || l->length[s] == length) &&
            memcmp(l->sequence + s * l->steps, types, (size_t)length * sizeof *types) == 0)
            sum += l->weight[s];
    return sum;
}

static void check_beginning(const list *l, const uint16_t *types, int length)
{
    int64_t passing = count_naively(l, types, length, false);
    int32_t node = sg_prefixes_find(l->prefixes, types, length);
    assert_int_equal(sg_prefixes_passing(l->prefixes, node), passing);
    assert_int_equal(sg_prefixes_ending(l->prefixes, node), count_naively(l, types, length, true));
    if (length > 0)
        assert_int_equal(node >= 0, passing > 0);
    if (node < 0)
        return;
    assert_int_equal(sg_prefixes_depth(l->prefixes, node), length);
    if (length == 0) {
        assert_int_equal(node, 0);
        return;
    }
    assert_int_equal(sg_prefixes_type(l->prefixes, node), types[length - 1]);
    assert_int_equal(sg_prefixes_parent(l->prefixes, node), sg_prefixes_find(l->prefixes, types, length - 1));
}

static void agrees_with_a_list(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        list l;
        sg_random random = sg_random_open(seed, SG_RANDOM_BENCH, 1);
        uint16_t types[8];
        open_list(&l, 120, 6, (uint32_t)(1 + seed), seed);
        for (int s = 0; s < l.count; s++)
            for (int length = 0; length <= l.length[s]; length++)
                check_beginning(&l, l.sequence + s * l.steps, length);
        for (int i = 0; i < 500; i++) {
            int length = (int)sg_random_below(&random, 9);
            for (int t = 0; t < length; t++)
                types[t] = (uint16_t)sg_random_below(&random, 5);
            check_beginning(&l, types, length);
        }
        close_list(&l);
    }
}

/* Each node is a beginning of its own, reached from its parent by its type. */
static void every_node_is_reached_once(void **state)
{
    (void)state;
    list l;
    int64_t ending = 0;
    open_list(&l, 3000, 12, 9, 7); /* the table of edges grows several times */
    int32_t count = sg_prefixes_count(l.prefixes);
    assert_true(count > 5000);
    for (int32_t n = 1; n < count; n++) {
        int32_t parent = sg_prefixes_parent(l.prefixes, n);
        assert_in_range(parent, 0, count - 1);
        assert_int_equal(sg_prefixes_next(l.prefixes, parent, sg_prefixes_type(l.prefixes, n)), n);
        assert_int_equal(sg_prefixes_depth(l.prefixes, n), sg_prefixes_depth(l.prefixes, parent) + 1);
        assert_true(sg_prefixes_passing(l.prefixes, n) > 0);
        ending += sg_prefixes_ending(l.prefixes, n);
    }
    assert_int_equal(ending + sg_prefixes_ending(l.prefixes, 0), sg_prefixes_passing(l.prefixes, 0));
    assert_true(sg_prefixes_bytes(l.prefixes) >= (size_t)count * 16);
    close_list(&l);
}

static void the_largest_types_and_the_longest_dialog(void **state)
{
    (void)state;
    enum { LONGEST = 40000 };
    uint16_t *types = calloc(LONGEST, sizeof *types), length = LONGEST;
    const int64_t weight = (int64_t)1 << 40;
    sg_prefixes *prefixes;
    for (int t = 0; t < LONGEST; t++)
        types[t] = (uint16_t)(65535 - t % 2);
    assert_ok(sg_prefixes_open(&prefixes, types, &length, &weight, 1, LONGEST));
    assert_int_equal(sg_prefixes_find(prefixes, types, LONGEST), LONGEST);
    assert_int_equal(sg_prefixes_depth(prefixes, LONGEST), LONGEST);
    assert_int_equal(sg_prefixes_ending(prefixes, LONGEST), weight);
    assert_int_equal(sg_prefixes_next(prefixes, LONGEST, 65535), -1);
    sg_prefixes_close(prefixes);
    free(types);
}

static void nothing_is_known(void **state)
{
    (void)state;
    const uint16_t types[2] = {1, 2}, length = 2;
    const int64_t none = 0;
    sg_prefixes *prefixes;
    for (int count = 0; count <= 1; count++) {
        assert_ok(sg_prefixes_open(&prefixes, types, &length, &none, count, 2));
        assert_int_equal(sg_prefixes_count(prefixes), 1);
        assert_int_equal(sg_prefixes_find(prefixes, types, 1), -1);
        assert_int_equal(sg_prefixes_next(prefixes, 0, 1), -1);
        assert_int_equal(sg_prefixes_next(prefixes, -1, 1), -1);
        assert_int_equal(sg_prefixes_passing(prefixes, 0), 0);
        assert_int_equal(sg_prefixes_ending(prefixes, -1), 0);
        sg_prefixes_close(prefixes);
    }
    sg_prefixes_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_list),
        cmocka_unit_test(every_node_is_reached_once),
        cmocka_unit_test(the_largest_types_and_the_longest_dialog),
        cmocka_unit_test(nothing_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
