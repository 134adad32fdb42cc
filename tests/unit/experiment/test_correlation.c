/* Cross-correlation against its definition, and leave-one-out against a recount. */
#include "base/philox.h"
#include "detect/roc.h"
#include "experiment/correlation.h"
#include "testing.h"

enum { N = 40, L = 9, TYPES = 3 };

typedef struct {
    uint16_t sequence[N * L], length[N];
    int64_t train[N];
} corpus;

static bool is_new(const corpus *c, int j)
{
    for (int i = 0; i < j; i++)
        if (memcmp(c->sequence + i * L, c->sequence + j * L, L * sizeof *c->sequence) == 0)
            return false;
    return true;
}

static void make_corpus(corpus *c, uint32_t trial)
{
    sg_random random = sg_random_open(7, SG_RANDOM_BENCH, trial);
    *c = (corpus){0};
    for (int j = 0; j < N;) {
        memset(c->sequence + j * L, 0, L * sizeof *c->sequence);
        c->length[j] = (uint16_t)(1 + sg_random_below(&random, L));
        for (int t = 0; t < c->length[j]; t++)
            c->sequence[j * L + t] = (uint16_t)(1 + sg_random_below(&random, TYPES));
        c->train[j] = j % 3 == 2 ? 0 : j % 3 == 1 ? 1 : 1 + sg_random_below(&random, 4);
        j += is_new(c, j);
    }
}

/* By one-hot vectors and every lag. */
static double direct(const uint16_t *x, int n, const uint16_t *y, int m)
{
    double best = 0;
    for (int lag = -n; lag <= m; lag++) {
        double sum = 0;
        for (int t = 0; t < n; t++)
            for (int type = 1; type <= TYPES; type++) {
                const double a = x[t] == type;
                const double b = t + lag >= 0 && t + lag < m && y[t + lag] == type;
                sum += a * b;
            }
        best = fmax(best, sum);
    }
    return best / sqrt((double)n * m);
}

static void near(double value, double wanted)
{
    if (!(fabs(value - wanted) < 1e-12))
        fail_msg("%.17g is not %.17g", value, wanted);
}

/* c(x, y), as the score of x where all train dialogs are y. */
static double correlation_of(const uint16_t x[L], int n, const uint16_t y[L], int m)
{
    const uint16_t length[2] = {(uint16_t)n, (uint16_t)m};
    const int64_t train[2] = {0, 3};
    uint16_t both[2 * L];
    sg_correlation r;
    memcpy(both, x, L * sizeof *x);
    memcpy(both + L, y, L * sizeof *y);
    assert_ok(sg_correlation_make(&r, both, length, train, 2, L, TYPES));
    const double value = r.largest[0];
    near(r.mean[0], value);
    sg_correlation_free(&r);
    return value;
}

static void pairs_by_hand(void **state)
{
    (void)state;
    static const uint16_t x[L] = {1, 2, 3}, y[L] = {3, 1, 2, 3, 1}, z[L] = {2, 2};
    near(correlation_of(x, 3, y, 5), 3 / sqrt(15.0)); /* all of x, not all of y */
    near(correlation_of(y, 5, x, 3), 3 / sqrt(15.0));
    near(correlation_of(x, 3, z, 2), 1 / sqrt(6.0));
    assert_true(correlation_of(z, 2, z, 2) == 1);
    assert_true(correlation_of(x, 1, z, 2) == 0);
}

static void scores_by_definition(void **state)
{
    (void)state;
    static corpus c;
    for (uint32_t trial = 0; trial < 5; trial++) {
        sg_correlation r;
        make_corpus(&c, trial);
        assert_ok(sg_correlation_make(&r, c.sequence, c.length, c.train, N, L, TYPES));
        for (int j = 0; j < N; j++) {
            double largest = 0, sum = 0, dialogs = 0;
            for (int i = 0; i < N; i++) {
                if (c.train[i] == 0)
                    continue;
                const double value = direct(c.sequence + j * L, c.length[j], c.sequence + i * L, c.length[i]);
                largest = fmax(largest, value);
                sum += (double)c.train[i] * value;
                dialogs += (double)c.train[i];
            }
            near(r.largest[j], largest);
            near(r.mean[j], sum / dialogs);
            assert_true(c.train[j] > 0 ? r.largest[j] == 1 : r.largest[j] < 1); /* an exact set */
        }
        sg_correlation_free(&r);
    }
}

/* One dialog of a class is really taken away, and scored by what is left. */
static void leave_one_out_equals_a_recount(void **state)
{
    (void)state;
    static corpus c, rest;
    sg_correlation all, less;
    double once[N], more[N];
    int singles = 0, others = 0;
    make_corpus(&c, 9);
    assert_ok(sg_correlation_make(&all, c.sequence, c.length, c.train, N, L, TYPES));
    for (int j = 0; j < N; j++) {
        if (c.train[j] == 0) {
            assert_true(isnan(all.others_largest[j]) && isnan(all.others_mean[j]));
            continue;
        }
        rest = c;
        rest.train[j]--;
        assert_ok(sg_correlation_make(&less, rest.sequence, rest.length, rest.train, N, L, TYPES));
        near(all.others_largest[j], less.largest[j]);
        near(all.others_mean[j], less.mean[j]);
        *(c.train[j] == 1 ? &once[singles++] : &more[others++]) = less.largest[j];
        sg_correlation_free(&less);
    }
    for (int i = 0; i < singles; i++)
        assert_true(once[i] < all.limit_largest);
    for (int i = 0; i < others; i++)
        assert_true(more[i] >= all.limit_largest);
    assert_true(singles > 5 && others > 5);
    sg_correlation_free(&all);
}

/* No limit anywhere parts the left-out dialogs better. */
static void limit_of_the_mean_is_the_best(void **state)
{
    (void)state;
    static corpus c;
    sg_correlation r;
    make_corpus(&c, 3);
    assert_ok(sg_correlation_make(&r, c.sequence, c.length, c.train, N, L, TYPES));
    double best = -2, chosen = -2;
    for (int i = -1; i < N; i++) {
        const double limit = i < 0 ? r.limit_mean : r.others_mean[i];
        double hits = 0, alarms = 0, single = 0, other = 0;
        for (int j = 0; j < N && !isnan(limit); j++) {
            const double weight = (double)c.train[j];
            const bool flagged = r.others_mean[j] < limit;
            *(c.train[j] == 1 ? &single : &other) += weight;
            *(c.train[j] == 1 ? &hits : &alarms) += flagged ? weight : 0;
        }
        if (isnan(limit))
            continue;
        *(i < 0 ? &chosen : &best) = fmax(i < 0 ? chosen : best, hits / single - alarms / other);
    }
    near(chosen, best);
    sg_correlation_free(&r);
}

static void too_few_dialogs(void **state)
{
    (void)state;
    static corpus c;
    sg_correlation r;
    make_corpus(&c, 1);
    memset(c.train, 0, sizeof c.train);
    assert_fails(SG_E_CONFIG, "no train dialogs",
                 sg_correlation_make(&r, c.sequence, c.length, c.train, N, L, TYPES));
    sg_correlation_free(&r);
    c.train[4] = 1;
    assert_fails(SG_E_CONFIG, "no other train dialogs",
                 sg_correlation_make(&r, c.sequence, c.length, c.train, N, L, TYPES));
    sg_correlation_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_by_hand),
        cmocka_unit_test(scores_by_definition),
        cmocka_unit_test(leave_one_out_equals_a_recount),
        cmocka_unit_test(limit_of_the_mean_is_the_best),
        cmocka_unit_test(too_few_dialogs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
