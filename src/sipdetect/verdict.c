/* verdict.c: from scores to answers, as sipgpu gives them (detect/detector.h, detect/kmeans.h).  The library
 * has a verdict of its own because it links libc and libm alone; tests/unit/detect/test_detector.c and
 * tests/e2e/test_score.py hold the two together. */
#include "sipdetect/internal.h"

#include <math.h>

bool sd_can_score(const sd_file *file, const sd_case *c)
{
    return c->position >= 1 && c->position <= file->network.max_length;
}

bool sd_is_in_file(const sd_case *c)
{
    return c->node > 0;
}

sd_score sd_file_score(const sd_file *file, const sd_case *c)
{
    const sd_node_score *s = &file->trie.score[c->node];
    return (sd_score){s->best_class, s->probability, s->skewness, s->kurtosis};
}

/* A dialog of L messages cannot go on within a train dialog's length: it is whole. */
const double *sd_limits(const sd_file *file, int k)
{
    if (k <= 0 || k >= file->network.max_length)
        return file->limits;
    return file->prefix_limits ? file->prefix_limits[k - 1] : NULL;
}

static int8_t both_below(const double *limits, const sd_score *score)
{
    return limits ? score->skewness < limits[0] && score->kurtosis < limits[1] : -1;
}

static int8_t either_below(const double *limits, const sd_score *score)
{
    return limits ? score->skewness < limits[0] || score->kurtosis < limits[1] : -1;
}

static double squared_distance(const double *centroid, const sd_score *score)
{
    const double x = score->skewness - centroid[0], y = score->kurtosis - centroid[1];
    return x * x + y * y;
}

/* The low one on ties; clusters of one point are none, and nothing is low then. */
static int8_t in_low_cluster(const double (*centroids)[2], const sd_score *score)
{
    if (!centroids)
        return -1;
    if (centroids[0][0] == centroids[1][0] && centroids[0][1] == centroids[1][1])
        return 0;
    return squared_distance(centroids[0], score) <= squared_distance(centroids[1], score);
}

static void judge_score(const sd_file *file, const sd_case *c, const sd_score *score, sipdetect_verdict *v)
{
    v->scored = 1;
    v->best_class = score->best_class;
    v->probability = score->probability;
    v->skewness = score->skewness;
    v->kurtosis = score->kurtosis;
    if (!v->known_prefix)
        v->abnormal_beginning = both_below(sd_limits(file, c->position), score);
    if (c->untyped)
        return;
    v->abnormal = both_below(file->limits, score);
    v->abnormal_either = either_below(file->limits, score);
    v->low_cluster = in_low_cluster(file->centroids, score);
}

void sd_judge(const sd_file *file, const sd_case *c, const sd_score *score, bool from_file,
              sipdetect_verdict *v)
{
    const bool known = c->node >= 0;
    *v = (sipdetect_verdict){.position = c->position,
                             .best_class = -1,
                             .probability = NAN,
                             .from_file = score && from_file,
                             .known_prefix = known,
                             .known_dialog = known && file->trie.ending[c->node] > 0,
                             .skewness = NAN,
                             .kurtosis = NAN,
                             .train_dialogs = known ? (int64_t)file->trie.passing[c->node] : 0,
                             .too_long = c->position > file->network.max_length,
                             .untyped = c->untyped,
                             .abnormal_beginning = known ? 0 : -1,
                             .abnormal = -1,
                             .abnormal_either = -1,
                             .low_cluster = -1};
    if (score)
        judge_score(file, c, score, v);
}
