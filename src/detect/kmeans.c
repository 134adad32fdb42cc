#include "detect/kmeans.h"

#include "base/memory.h"
#include "base/philox.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    double x, y, weight;
} point;

typedef struct {
    const point *points;
    int count;
    int *label;      /* [count] */
    double *squared; /* [count] to the nearest centroid so far */
} workspace;

static double squared_distance(double x, double y, const double centroid[2])
{
    const double dx = x - centroid[0], dy = y - centroid[1];
    return dx * dx + dy * dy;
}

static int nearest(const sg_kmeans *r, double x, double y, double *squared)
{
    int best = 0;
    *squared = squared_distance(x, y, r->centroid[0]);
    for (int k = 1; k < r->clusters; k++) {
        const double d = squared_distance(x, y, r->centroid[k]);
        if (d < *squared) {
            *squared = d;
            best = k;
        }
    }
    return best;
}

/* The point at which the running sum of weight * squared passes a uniform draw; `total` is that sum over all.
 */
static int draw(const workspace *w, double total, sg_random *random)
{
    const double at = sg_random_double(random) * total;
    double sum = 0;
    int last = 0;
    for (int i = 0; i < w->count; i++) {
        const double share = w->points[i].weight * w->squared[i];
        if (share <= 0)
            continue;
        sum += share;
        last = i;
        if (sum > at)
            break;
    }
    return last;
}

/* k-means++: each centroid is a point drawn by its squared distance to those before it.  With at least k
 * distinct points all centroids differ. */
static void seed_centroids(sg_kmeans *r, workspace *w, sg_random *random)
{
    for (int i = 0; i < w->count; i++)
        w->squared[i] = 1.0;
    for (int k = 0; k < r->clusters; k++) {
        double total = 0;
        for (int i = 0; i < w->count; i++)
            total += w->points[i].weight * w->squared[i];
        const point *chosen = &w->points[draw(w, total, random)];
        r->centroid[k][0] = chosen->x;
        r->centroid[k][1] = chosen->y;
        for (int i = 0; i < w->count; i++) {
            const double d = squared_distance(w->points[i].x, w->points[i].y, r->centroid[k]);
            if (k == 0 || d < w->squared[i])
                w->squared[i] = d;
        }
    }
}

/* Puts each point into its nearest cluster and sums up the inertia; true if any moved. */
static bool assign_all(sg_kmeans *r, workspace *w)
{
    bool moved = false;
    r->inertia = 0;
    for (int i = 0; i < w->count; i++) {
        const int k = nearest(r, w->points[i].x, w->points[i].y, &w->squared[i]);
        moved |= k != w->label[i];
        w->label[i] = k;
        r->inertia += w->points[i].weight * w->squared[i];
    }
    return moved;
}

/* An empty cluster (possible for k > 2) restarts at the point that costs most. */
static void refill(sg_kmeans *r, workspace *w, int k)
{
    int worst = 0;
    for (int i = 1; i < w->count; i++)
        if (w->points[i].weight * w->squared[i] > w->points[worst].weight * w->squared[worst])
            worst = i;
    r->centroid[k][0] = w->points[worst].x;
    r->centroid[k][1] = w->points[worst].y;
    w->squared[worst] = 0;
}

static void move_centroids(sg_kmeans *r, workspace *w)
{
    double sum[SG_KMEANS_CLUSTERS_MAX][2] = {{0}};
    memset(r->weight, 0, sizeof r->weight);
    for (int i = 0; i < w->count; i++) {
        const point *p = &w->points[i];
        r->weight[w->label[i]] += p->weight;
        sum[w->label[i]][0] += p->weight * p->x;
        sum[w->label[i]][1] += p->weight * p->y;
    }
    for (int k = 0; k < r->clusters; k++) {
        if (r->weight[k] > 0) {
            r->centroid[k][0] = sum[k][0] / r->weight[k];
            r->centroid[k][1] = sum[k][1] / r->weight[k];
        } else {
            refill(r, w, k);
        }
    }
}

static void run_lloyd(sg_kmeans *r, workspace *w, int iterations_max)
{
    for (int i = 0; i < w->count; i++)
        w->label[i] = -1;
    r->converged = false;
    for (r->iterations = 0; r->iterations < iterations_max; r->iterations++) {
        if (!assign_all(r, w)) {
            r->converged = true;
            return;
        }
        move_centroids(r, w);
    }
    assign_all(r, w);
}

static void sort_clusters(sg_kmeans *r)
{
    for (int a = 1; a < r->clusters; a++)
        for (int b = a; b > 0; b--) {
            double *low = r->centroid[b - 1], *high = r->centroid[b];
            if (low[0] + low[1] <= high[0] + high[1])
                break;
            for (int c = 0; c < 2; c++) {
                const double t = low[c];
                low[c] = high[c];
                high[c] = t;
            }
            const double t = r->weight[b - 1];
            r->weight[b - 1] = r->weight[b];
            r->weight[b] = t;
        }
}

static int compare_points(const void *a, const void *b)
{
    const point *p = a, *q = b;
    if (p->x != q->x)
        return p->x < q->x ? -1 : 1;
    return (p->y > q->y) - (p->y < q->y);
}

/* Copies the points that count, merges equal ones: a trained network gives many dialogs the same moments.
 * Sorted, so that the result does not depend on the order of the input. */
static sg_status gather(point **points, int *distinct, const double *x, const double *y,
                        const int64_t *weight, int count)
{
    SG_TRY(sg_alloc(points, count, "K-means points"));
    point *p = *points;
    int n = 0;
    for (int i = 0; i < count; i++) {
        const int64_t w = weight ? weight[i] : 1;
        if (w <= 0)
            continue;
        if (!isfinite(x[i]) || !isfinite(y[i]))
            return sg_fail(SG_E_NUMERIC, "K-means: point %d is not finite", i);
        p[n++] = (point){x[i], y[i], (double)w};
    }
    if (n == 0)
        return sg_fail(SG_E_CONFIG, "K-means: no dialogs to cluster");
    qsort(p, (size_t)n, sizeof *p, compare_points);
    int m = 0;
    for (int i = 1; i < n; i++) {
        if (compare_points(&p[m], &p[i]) == 0)
            p[m].weight += p[i].weight;
        else
            p[++m] = p[i];
    }
    *distinct = m + 1;
    return SG_OK;
}

/* Too few distinct points: one centroid for all, so that no cluster is low. */
static void settle_degenerate(sg_kmeans *r, workspace *w)
{
    double total = 0, mean[2] = {0, 0};
    for (int i = 0; i < w->count; i++) {
        total += w->points[i].weight;
        mean[0] += w->points[i].weight * w->points[i].x;
        mean[1] += w->points[i].weight * w->points[i].y;
    }
    for (int k = 0; k < r->clusters; k++) {
        r->centroid[k][0] = mean[0] / total;
        r->centroid[k][1] = mean[1] / total;
    }
    r->weight[r->clusters - 1] = total;
    r->converged = true;
    r->degenerate = true;
    assign_all(r, w);
}

static void run_restarts(sg_kmeans *result, workspace *w, const sg_kmeans_options *o)
{
    for (int restart = 0; restart < o->restarts; restart++) {
        sg_kmeans trial = {.clusters = o->clusters, .restart = restart};
        sg_random random = sg_random_open(o->seed, SG_RANDOM_KMEANS, (uint32_t)restart);
        seed_centroids(&trial, w, &random);
        run_lloyd(&trial, w, o->iterations_max);
        if (restart == 0 || trial.inertia < result->inertia)
            *result = trial;
    }
    sort_clusters(result);
}

sg_status sg_kmeans_fit(sg_kmeans *result, const double *x, const double *y, const int64_t *weight, int count,
                        const sg_kmeans_options *options)
{
    if (options->clusters < 1 || options->clusters > SG_KMEANS_CLUSTERS_MAX || options->restarts < 1 ||
        options->iterations_max < 1)
        return sg_fail(SG_E_CONFIG, "K-means: %d clusters, %d restarts, %d iterations are out of range",
                       options->clusters, options->restarts, options->iterations_max);
    point *points = NULL;
    workspace w = {0};
    sg_status status;
    SG_TRY_GOTO(status, done, gather(&points, &w.count, x, y, weight, count));
    w.points = points;
    SG_TRY_GOTO(status, done, sg_alloc(&w.label, w.count, "K-means labels"));
    SG_TRY_GOTO(status, done, sg_alloc(&w.squared, w.count, "K-means distances"));
    *result = (sg_kmeans){.clusters = options->clusters};
    if (w.count < options->clusters)
        settle_degenerate(result, &w);
    else
        run_restarts(result, &w, options);
done:
    free(points);
    free(w.label);
    free(w.squared);
    return status;
}

int sg_kmeans_assign(const sg_kmeans *result, double x, double y)
{
    double squared;
    return result->degenerate ? result->clusters - 1 : nearest(result, x, y, &squared);
}

double sg_kmeans_score(const sg_kmeans *result, double x, double y)
{
    if (result->degenerate || result->clusters < 2)
        return 0.0;
    double other = INFINITY;
    for (int k = 1; k < result->clusters; k++)
        other = fmin(other, squared_distance(x, y, result->centroid[k]));
    return sqrt(squared_distance(x, y, result->centroid[0])) - sqrt(other);
}
