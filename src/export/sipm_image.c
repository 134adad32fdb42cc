#include "export/sipm_image.h"

#include "base/memory.h"
#include "sip/alphabet.h"
#include "sipdetect/sipm_format.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)SG_WEIGHTS_INT8 == SD_INT8 && (int)SG_PADDING_PRE == SD_PAD_PRE &&
                   (int)SG_PADDING_MASK == SD_PAD_MASK,
               "the file's numbers are the model's");

enum { PROVENANCE = 1024 };

/* A file being made. */
typedef struct {
    const sg_model *model;
    const sg_prefixes *prefixes;
    const sg_outputs *scores;
    int32_t *rank, *order; /* node of the prefixes -> number in the file, and back */
    char provenance[PROVENANCE];
    sd_spec spec;
    void *section[SD_SECTIONS]; /* in the image */
} maker;

const char *sg_weights_name(sg_weights weights)
{
    static const char *const names[] = {"fp32", "bf16", "int8"};
    return names[weights];
}

/* ---- the order of the trie: level by level, in a level by parent and type ---- */

typedef struct {
    uint64_t key; /* rank of the parent and type */
    int32_t node;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

/* A stable sort by depth: nodes of depth d stand at order[start[d]] .. order[start[d + 1] - 1]. */
static void sort_by_depth(maker *m, int32_t *start, int depths)
{
    const int32_t count = sg_prefixes_count(m->prefixes);
    for (int32_t n = 0; n < count; n++)
        start[sg_prefixes_depth(m->prefixes, n) + 1]++;
    for (int d = 0; d < depths; d++)
        start[d + 1] += start[d];
    for (int32_t n = 0; n < count; n++)
        m->order[start[sg_prefixes_depth(m->prefixes, n)]++] = n;
    memmove(start + 1, start, (size_t)depths * sizeof *start);
    start[0] = 0;
}

static void sort_level(maker *m, int32_t from, int32_t to, ranked *room)
{
    for (int32_t i = from; i < to; i++) {
        const int32_t node = m->order[i], parent = sg_prefixes_parent(m->prefixes, node);
        const uint64_t above = parent < 0 ? 0 : (uint64_t)m->rank[parent];
        room[i - from] = (ranked){above << 16 | sg_prefixes_type(m->prefixes, node), node};
    }
    qsort(room, (size_t)(to - from), sizeof *room, compare_ranked);
    for (int32_t i = from; i < to; i++) {
        m->order[i] = room[i - from].node;
        m->rank[m->order[i]] = i;
    }
}

static sg_status order_trie(maker *m)
{
    const int32_t count = sg_prefixes_count(m->prefixes);
    const int depths = m->model->spec.max_length + 1;
    ranked *room = NULL;
    int32_t *start = NULL;
    sg_status status;
    SG_TRY_GOTO(status, done, sg_alloc(&m->rank, count, "beginnings"));
    SG_TRY_GOTO(status, done, sg_alloc(&m->order, count, "beginnings"));
    SG_TRY_GOTO(status, done, sg_alloc(&room, count, "beginnings"));
    SG_TRY_GOTO(status, done, sg_alloc(&start, depths + 2, "beginnings"));
    sort_by_depth(m, start, depths);
    for (int d = 0; d < depths; d++)
        sort_level(m, start[d], start[d + 1], room);
done:
    free(room);
    free(start);
    return status;
}

/* ---- sizes ---- */

/* One line of provenance: printable, whatever the model's texts hold. */
static void add_line(maker *m, const char *key, const char *value)
{
    char *at = m->provenance + strlen(m->provenance), *end = m->provenance + PROVENANCE;
    char *line = at;
    snprintf(at, (size_t)(end - at), "%s = %s", key, value);
    for (; *line; line++)
        if ((unsigned char)*line < 0x20 || *line == 0x7f)
            *line = '?';
    snprintf(line, (size_t)(end - line), "\n");
}

static void add_number(maker *m, const char *key, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    add_line(m, key, text);
}

static void make_provenance(maker *m, sg_weights weights)
{
    const sg_model *model = m->model;
    add_line(m, "tool", "sipgpu " SG_VERSION);
    add_line(m, "weights", sg_weights_name(weights));
    add_line(m, "trained_with", model->tool);
    add_line(m, "trained_on", model->device);
    add_line(m, "trained_in", model->precision);
    char seed[24];
    snprintf(seed, sizeof seed, "%" PRIu64, model->seed);
    add_line(m, "seed", seed);
    add_number(m, "epoch", model->epoch);
    add_number(m, "update", model->update);
    add_line(m, "corpus_digest", model->corpus_digest);
    add_number(m, "train_dialogs", sg_prefixes_passing(m->prefixes, 0));
}

static sg_status count_alphabet(const sg_model *model, uint64_t *bytes)
{
    *bytes = 0;
    for (int i = 0; i < model->spec.message_types; i++) {
        const size_t length = strlen(model->alphabet[i]);
        if (length == 0 || length >= SG_TYPE_NAME)
            return sg_fail(SG_E_CONFIG, "name %d of the model's alphabet has %zu bytes, must be from 1 to %d",
                           i + 1, length, SG_TYPE_NAME - 1);
        *bytes += length + 1;
    }
    return SG_OK;
}

static sg_status make_spec(maker *m, sg_weights weights)
{
    const sg_model *model = m->model;
    const sg_spec *from = &model->spec;
    sd_spec *s = &m->spec;
    sg_type_rule rule;
    if (!sg_type_rule_parse(model->type_rule[0] ? model->type_rule : "paper/1", &rule))
        return sg_fail(SG_E_CONFIG, "the model's type_rule is '%s', expected paper/1 or cseq/1",
                       model->type_rule);
    *s = (sd_spec){.message_types = (uint32_t)from->message_types,
                   .max_length = (uint32_t)from->max_length,
                   .units = (uint32_t)from->units,
                   .classes = (uint32_t)from->classes,
                   .layers = (uint32_t)from->layers,
                   .padding = (uint32_t)from->padding,
                   .precision = (uint32_t)weights,
                   .type_rule = rule == SG_RULE_CSEQ,
                   .collapsed = model->collapsed,
                   .nodes = (uint32_t)sg_prefixes_count(m->prefixes),
                   .provenance_bytes = strlen(m->provenance) + 1};
    s->has |= model->has_thresholds ? SD_HAS_LIMITS : 0;
    s->has |= model->prefix_limit ? SD_HAS_PREFIX_LIMITS : 0;
    s->has |= model->has_kmeans ? SD_HAS_CENTROIDS : 0;
    for (int c = 0; c < from->classes; c++)
        s->class_messages += model->class_length[c];
    SG_TRY(count_alphabet(model, &s->alphabet_bytes));
    return sd_spec_check(s);
}

/* ---- contents ---- */

static void fill_texts(const maker *m)
{
    char *to = m->section[SD_ALPHABET];
    for (int i = 0; i < m->model->spec.message_types; i++)
        to = stpcpy(to, m->model->alphabet[i]) + 1;
    strcpy(m->section[SD_PROVENANCE], m->provenance);
}

static void fill_classes(const maker *m)
{
    const sg_model *model = m->model;
    uint32_t *start = m->section[SD_CLASS_START];
    uint16_t *types = m->section[SD_CLASS_TYPES];
    uint64_t *train = m->section[SD_CLASS_TRAIN];
    for (int c = 0; c < model->spec.classes; c++) {
        memcpy(types + start[c], model->class_sequence + (size_t)c * (size_t)model->spec.max_length,
               model->class_length[c] * sizeof *types);
        start[c + 1] = start[c] + model->class_length[c];
        train[c] = (uint64_t)model->class_train[c];
    }
}

static sg_status fill_trie(const maker *m)
{
    const sg_prefixes *p = m->prefixes;
    const int32_t nodes = sg_prefixes_count(p);
    uint32_t *first = m->section[SD_TRIE_FIRST];
    uint16_t *type = m->section[SD_TRIE_TYPE];
    uint64_t *ending = m->section[SD_TRIE_ENDING], *passing = m->section[SD_TRIE_PASSING];
    sd_node_score *score = m->section[SD_TRIE_SCORE];
    first[0] = 1;
    for (int32_t n = 1; n < nodes; n++)
        first[m->rank[sg_prefixes_parent(p, n)] + 1]++;
    for (int32_t r = 0; r < nodes; r++) {
        const int32_t n = m->order[r], o = n - 1;
        first[r + 1] += first[r];
        type[r] = sg_prefixes_type(p, n);
        ending[r] = (uint64_t)sg_prefixes_ending(p, n);
        passing[r] = (uint64_t)sg_prefixes_passing(p, n);
        if (n == 0)
            continue;
        score[r] = (sd_node_score){m->scores->skewness[o], m->scores->kurtosis[o], m->scores->p_max[o],
                                   m->scores->argmax[o]};
        if (!isfinite(score[r].skewness) || !isfinite(score[r].kurtosis) || !isfinite(score[r].probability))
            return sg_fail(SG_E_NUMERIC, "the network's outputs are not finite: the model is damaged or its "
                                         "training diverged");
        score[r].probability = fminf(score[r].probability, 1);
    }
    return SG_OK;
}

static void fill_limits(const maker *m)
{
    const sg_model *model = m->model;
    double *limits = m->section[SD_LIMITS], *prefix = m->section[SD_PREFIX_LIMITS];
    if (limits) {
        limits[0] = model->lambda_skewness;
        limits[1] = model->lambda_kurtosis;
    }
    for (int k = 0; prefix && k < model->spec.max_length; k++) {
        prefix[2 * k] = model->prefix_limit[k].skewness;
        prefix[2 * k + 1] = model->prefix_limit[k].kurtosis;
    }
    if (m->section[SD_CENTROIDS])
        memcpy(m->section[SD_CENTROIDS], model->centroid, sizeof model->centroid);
}

/* ---- weights ---- */

/* A matrix [rows, 4H], gates i, f, c, o, with its columns as network.h needs them: [rows, 4Hp], zeroed
 * before.
 */
static void order_gates(const float *from, int rows, int units, float *to)
{
    const size_t padded = 4 * sd_round_up((uint64_t)units, 16);
    for (int r = 0; r < rows; r++, from += 4 * (size_t)units, to += padded)
        for (int g = 0; g < 4; g++)
            for (int u = 0; u < units; u++)
                to[64 * (u / 16) + 16 * g + u % 16] = from[(size_t)g * (size_t)units + (size_t)u];
}

static const float *tensor(const maker *m, int index)
{
    return sg_params_at(&m->model->params, index);
}

static void pack(const maker *m, int id, const float *weights, int columns)
{
    const int units = m->model->spec.units;
    sd_matrix_pack((sd_precision)m->spec.precision, weights, units, columns,
                   (int)sd_round_up((uint64_t)units, 16), m->section[id], m->section[id + 1],
                   m->section[id + 2]);
}

/* A recurrent kernel or that of the second layer; `room` is [H, 4Hp], zero in the columns of no unit. */
static void pack_gates(const maker *m, int id, int index, float *room)
{
    const int units = m->model->spec.units;
    order_gates(tensor(m, index), units, units, room);
    pack(m, id, room, (int)(4 * sd_round_up((uint64_t)units, 16)));
}

static sg_status fill_weights(const maker *m)
{
    const sg_spec *spec = &m->model->spec;
    const sg_layout *at = &m->model->params.layout;
    float *room;
    SG_TRY(sg_params_check_finite(&m->model->params));
    SG_TRY(sg_alloc(&room, (size_t)spec->units * 4 * sd_round_up((uint64_t)spec->units, 16), "weights"));
    order_gates(tensor(m, at->kernel[0]), spec->message_types, spec->units, m->section[SD_INPUT]);
    order_gates(tensor(m, at->bias[0]), 1, spec->units, m->section[SD_BIAS_0]);
    pack_gates(m, SD_RECURRENT_0, at->recurrent[0], room);
    if (spec->layers == 2) {
        pack_gates(m, SD_KERNEL_1, at->kernel[1], room);
        order_gates(tensor(m, at->bias[1]), 1, spec->units, m->section[SD_BIAS_1]);
        pack_gates(m, SD_RECURRENT_1, at->recurrent[1], room);
    }
    pack(m, SD_DENSE, tensor(m, at->dense_kernel), spec->classes);
    memcpy(m->section[SD_DENSE_BIAS], tensor(m, at->dense_bias), (size_t)spec->classes * sizeof(float));
    free(room);
    return SG_OK;
}

/* ---- the whole ---- */

static sg_status make_image(maker *m, void **image, size_t *bytes)
{
    sd_entry table[SD_SECTIONS];
    uint64_t size;
    char *data;
    const int count = sd_table(&m->spec, table, &size);
    SG_TRY(sg_alloc(&data, size, "exported model"));
    *image = data;
    *bytes = size;
    for (int i = 0; i < count; i++)
        m->section[table[i].id] = data + table[i].offset;
    memcpy(data + sizeof(sd_header), table, (size_t)count * sizeof *table);
    memcpy(m->section[SD_SPEC], &m->spec, sizeof m->spec);
    fill_texts(m);
    fill_classes(m);
    SG_TRY(fill_trie(m));
    fill_limits(m);
    SG_TRY(fill_weights(m));
    sd_header header = {.bytes = size, .version = SD_VERSION, .sections = (uint32_t)count};
    memcpy(header.magic, SD_MAGIC, sizeof header.magic);
    memcpy(data, &header, sizeof header);
    header.checksum = sd_checksum(data, size);
    memcpy(data, &header, sizeof header);
    return SG_OK;
}

sg_status sg_sipm_image(const sg_model *model, const sg_prefixes *prefixes, const sg_outputs *scores,
                        sg_weights weights, void **image, size_t *bytes)
{
    maker m = {.model = model, .prefixes = prefixes, .scores = scores};
    sg_status status;
    *image = NULL;
    make_provenance(&m, weights);
    SG_TRY_GOTO(status, done, make_spec(&m, weights));
    SG_TRY_GOTO(status, done, order_trie(&m));
    status = make_image(&m, image, bytes);
done:
    if (status != SG_OK) {
        free(*image);
        *image = NULL;
    }
    free(m.rank);
    free(m.order);
    return status;
}
