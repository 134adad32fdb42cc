/* kmeans.h: K-means on weighted points of the plane (section IV-C): two clusters of (skewness, kurtosis), of
 * which the one nearer the origin holds the abnormal dialogs.
 *
 * Each restart draws its first centroids by k-means++ (Arthur and Vassilvitskii, SODA 2007) and runs Lloyd's
 * iteration until no point changes its cluster; the restart with the lowest inertia wins, the earliest one on
 * ties.  Random numbers are Philox (seed, SG_RANDOM_KMEANS, restart), so the result is a function of the
 * points and the seed.
 */
#ifndef SG_DETECT_KMEANS_H
#define SG_DETECT_KMEANS_H

#include "base/status.h"
#include <stdint.h>

enum { SG_KMEANS_CLUSTERS_MAX = 8 };

typedef struct {
    int clusters;       /* k, 1..SG_KMEANS_CLUSTERS_MAX; the paper: 2 */
    int restarts;       /* at least 1 */
    int iterations_max; /* of Lloyd's iteration in one restart, at least 1 */
    uint64_t seed;
} sg_kmeans_options;

#define SG_KMEANS_DEFAULTS \
    {                      \
        2, 50, 300, 1      \
    }

typedef struct {
    int clusters;                               /* k */
    double centroid[SG_KMEANS_CLUSTERS_MAX][2]; /* by rising sum of coordinates: 0 is the low cluster */
    double weight[SG_KMEANS_CLUSTERS_MAX];      /* of the points in each */
    double inertia;          /* weighted sum of squared distances to the nearest centroid */
    int iterations, restart; /* of the winner */
    bool converged;          /* the winner stopped before iterations_max */
    bool degenerate; /* fewer than k distinct points of positive weight: all centroids are their mean */
} sg_kmeans;

/* Clusters (x[i], y[i]) of weight weight[i] >= 0 (NULL: 1 each), i < count.  Degenerate input is not an
 * error: nothing is low then.  SG_E_CONFIG: no point of positive weight, options out of range.  SG_E_NUMERIC:
 * a coordinate is not finite. */
sg_status sg_kmeans_fit(sg_kmeans *result, const double *x, const double *y, const int64_t *weight, int count,
                        const sg_kmeans_options *options);

/* The cluster whose centroid is nearest to (x, y), the lowest on ties; the last one if the fit was
 * degenerate. */
int sg_kmeans_assign(const sg_kmeans *result, double x, double y);

/* Distance to the low centroid minus distance to the nearest other one: negative in the low cluster, and 0 if
 * the fit was degenerate. */
double sg_kmeans_score(const sg_kmeans *result, double x, double y);

#endif
