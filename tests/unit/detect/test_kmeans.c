/* K-means against scikit-learn, and on inputs that have no two clusters. */
#include "base/philox.h"
#include "detect/kmeans.h"
#include "detection_case.h"

static const sg_kmeans_options options = SG_KMEANS_DEFAULTS;

static void matches_the_reference(void **state)
{
    (void)state;
    static detection_case c;
    read_detection_case(&c);
    sg_kmeans r;
    assert_ok(sg_kmeans_fit(&r, c.skewness, c.kurtosis, NULL, CASE_TEST, &options));
    assert_true(r.converged && !r.degenerate);
    const int low = c.centroid[0][0] + c.centroid[0][1] < c.centroid[1][0] + c.centroid[1][1] ? 0 : 1;
    for (int x = 0; x < 2; x++) {
        assert_true(fabs(r.centroid[0][x] - c.centroid[low][x]) < 1e-9);
        assert_true(fabs(r.centroid[1][x] - c.centroid[!low][x]) < 1e-9);
    }
    assert_true(fabs(r.inertia - c.inertia) < 1e-9);
    for (int i = 0; i < CASE_TEST; i++) {
        assert_int_equal(sg_kmeans_assign(&r, c.skewness[i], c.kurtosis[i]) == 0, c.is_abnormal[i]);
        assert_int_equal(sg_kmeans_score(&r, c.skewness[i], c.kurtosis[i]) < 0, c.is_abnormal[i]);
    }
}

static void order_and_weights_do_not_matter(void **state)
{
    (void)state;
    enum { N = 60 };
    double x[N], y[N], x2[2 * N], y2[2 * N];
    int64_t weight[N];
    sg_random random = sg_random_open(7, SG_RANDOM_BENCH, 0);
    for (int i = 0; i < N; i++) {
        x[i] = sg_random_double(&random);
        y[i] = sg_random_double(&random);
        weight[i] = 2;
        x2[2 * N - 1 - i] = x2[i] = x[i];
        y2[2 * N - 1 - i] = y2[i] = y[i];
    }
    sg_kmeans a, b;
    assert_ok(sg_kmeans_fit(&a, x, y, weight, N, &options));
    assert_ok(sg_kmeans_fit(&b, x2, y2, NULL, 2 * N, &options));
    assert_true(a.inertia == b.inertia);
    assert_memory_equal(a.centroid, b.centroid, sizeof a.centroid);
    assert_true(a.weight[0] + a.weight[1] == 2.0 * N);
}

/* The best cut of points on a line is found by trying all. */
static void finds_the_best_of_all_cuts(void **state)
{
    (void)state;
    enum { N = 25 };
    for (uint32_t trial = 0; trial < 20; trial++) {
        double x[N], zero[N] = {0};
        sg_random random = sg_random_open(11, SG_RANDOM_BENCH, trial);
        double at = 0;
        for (int i = 0; i < N; i++)
            x[i] = at += sg_random_double(&random);
        double best = INFINITY;
        for (int cut = 1; cut < N; cut++) {
            double mean[2] = {0}, inertia = 0;
            for (int i = 0; i < N; i++)
                mean[i >= cut] += x[i] / (i < cut ? cut : N - cut);
            for (int i = 0; i < N; i++)
                inertia += (x[i] - mean[i >= cut]) * (x[i] - mean[i >= cut]);
            best = fmin(best, inertia);
        }
        sg_kmeans r;
        assert_ok(sg_kmeans_fit(&r, x, zero, NULL, N, &options));
        assert_true(fabs(r.inertia - best) < 1e-9 * best);
    }
}

static void equal_points_are_all_normal(void **state)
{
    (void)state;
    const double x[] = {0.3, 0.3, 0.3, 0.9}, y[] = {0.5, 0.5, 0.5, 0.9};
    const int64_t weight[] = {1, 5, 1, 0};
    sg_kmeans r;
    assert_ok(sg_kmeans_fit(&r, x, y, weight, 4, &options));
    assert_true(r.degenerate);
    assert_true(fabs(r.centroid[0][0] - 0.3) < 1e-15 && fabs(r.centroid[1][1] - 0.5) < 1e-15);
    assert_int_equal(sg_kmeans_assign(&r, 0.3, 0.5), 1);
    assert_int_equal(sg_kmeans_assign(&r, 0.0, 0.0), 1);
    assert_true(sg_kmeans_score(&r, 0.0, 0.0) == 0.0);
}

static void two_points_are_two_clusters(void **state)
{
    (void)state;
    const double x[] = {1.0, 0.2}, y[] = {1.0, 0.1};
    sg_kmeans r;
    assert_ok(sg_kmeans_fit(&r, x, y, NULL, 2, &options));
    assert_true(!r.degenerate && r.inertia == 0);
    assert_int_equal(sg_kmeans_assign(&r, 1.0, 1.0), 1);
    assert_int_equal(sg_kmeans_assign(&r, 0.2, 0.1), 0);
}

/* Moments of a trained network differ in the last digits only. */
static void tiny_differences_are_kept_apart(void **state)
{
    (void)state;
    const double x[] = {1.0, 1.0 - 1e-15, 1.0 - 1e-12, 1.0 - 1.1e-12}, y[] = {1, 1, 1, 1};
    sg_kmeans r;
    assert_ok(sg_kmeans_fit(&r, x, y, NULL, 4, &options));
    assert_int_equal(sg_kmeans_assign(&r, x[0], 1), 1);
    assert_int_equal(sg_kmeans_assign(&r, x[1], 1), 1);
    assert_int_equal(sg_kmeans_assign(&r, x[2], 1), 0);
    assert_int_equal(sg_kmeans_assign(&r, x[3], 1), 0);
}

static void more_clusters(void **state)
{
    (void)state;
    const double x[] = {0, 0.1, 5, 5.1, 9, 9.2}, y[] = {0, 0, 5, 5, 1, 1};
    sg_kmeans_options three = options;
    three.clusters = 3;
    sg_kmeans r;
    assert_ok(sg_kmeans_fit(&r, x, y, NULL, 6, &three));
    assert_true(fabs(r.inertia - (0.005 + 0.005 + 0.02)) < 1e-12);
    for (int k = 0; k < 3; k++)
        assert_true(r.weight[k] == 2.0);
}

static void refuses_bad_input(void **state)
{
    (void)state;
    const double x[] = {0.1, NAN}, y[] = {0.1, 0.2};
    const int64_t none[] = {0, 0}, first[] = {1, 0};
    sg_kmeans_options bad = options;
    bad.clusters = 0;
    sg_kmeans r;
    assert_fails(SG_E_NUMERIC, "not finite", sg_kmeans_fit(&r, x, y, NULL, 2, &options));
    assert_ok(sg_kmeans_fit(&r, x, y, first, 2, &options));
    assert_fails(SG_E_CONFIG, "no dialogs", sg_kmeans_fit(&r, x, y, none, 2, &options));
    assert_fails(SG_E_CONFIG, "out of range", sg_kmeans_fit(&r, x, y, first, 2, &bad));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_reference),
        cmocka_unit_test(order_and_weights_do_not_matter),
        cmocka_unit_test(finds_the_best_of_all_cuts),
        cmocka_unit_test(equal_points_are_all_normal),
        cmocka_unit_test(two_points_are_two_clusters),
        cmocka_unit_test(tiny_differences_are_kept_apart),
        cmocka_unit_test(more_clusters),
        cmocka_unit_test(refuses_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
