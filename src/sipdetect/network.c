/* network.c: a batch as a trie, level by level: LSTM layers, dense layer, softmax, moments. */
#include "sipdetect/network.h"

#include "engine/cell.h"

enum { HEAD_ROWS = 64 }; /* through the dense layer at a time */

/* What one level of the trie leaves to the next, row by row. */
typedef struct {
    float *c;
    char *operand;
    float *left[SD_SHAPING]; /* int8 */
} layer_state;

/* The room, and the batch in hand. */
typedef struct {
    const sd_network *network;
    const sd_kernels *kernels;
    const uint16_t *types, *lengths;
    size_t stride; /* of types */

    size_t h_stride; /* bytes from operand to operand */
    layer_state state[SD_LAYERS_MAX][2];
    float *h;                      /* of the last layer, [batch, units_padded] */
    float *ends;                   /* h after the last step, one row for each different sequence */
    int32_t *sorted, *merged;      /* numbers of sequences, lexicographically; [batch] */
    int32_t *node, *parent, *leaf; /* of a sequence; of a node; row of `ends` of a sequence */
    uint16_t *token;               /* of a node */
    char *head_operand;            /* [2 * HEAD_ROWS] */
    float *logits;                 /* [HEAD_ROWS, classes_padded] */
} run;

static void *carve(char *room, size_t *used, size_t bytes)
{
    void *at = room ? room + *used : NULL;
    *used += (bytes + 63) / 64 * 64;
    return at;
}

static size_t operand_stride(const sd_network *n)
{
    size_t element = n->precision == SD_FP32 ? 4 : n->precision == SD_BF16 ? 2 : 1;
    return ((size_t)n->units_padded * element + 63) / 64 * 64;
}

/* Lays the parts out at `room`; returns the bytes they take. */
static size_t lay_out(run *w, const sd_network *n, int batch, char *room)
{
    size_t used = 0, rows = (size_t)batch, floats = rows * (size_t)n->units_padded * sizeof(float);
    bool shaped = n->precision == SD_INT8;
    w->h_stride = operand_stride(n);
    for (int layer = 0; layer < n->layers; layer++)
        for (int side = 0; side < 2; side++) {
            layer_state *s = &w->state[layer][side];
            s->c = carve(room, &used, floats);
            s->operand = carve(room, &used, rows * w->h_stride);
            for (int i = 0; i < SD_SHAPING; i++)
                s->left[i] = shaped ? carve(room, &used, floats) : NULL;
        }
    w->h = carve(room, &used, floats);
    w->ends = carve(room, &used, floats);
    w->sorted = carve(room, &used, rows * sizeof(int32_t));
    w->merged = carve(room, &used, rows * sizeof(int32_t));
    w->node = carve(room, &used, rows * sizeof(int32_t));
    w->parent = carve(room, &used, rows * sizeof(int32_t));
    w->leaf = carve(room, &used, rows * sizeof(int32_t));
    w->token = carve(room, &used, rows * sizeof(uint16_t));
    size_t head = rows < HEAD_ROWS ? rows : HEAD_ROWS, outputs = (size_t)n->classes_padded * sizeof(float);
    w->head_operand = carve(room, &used, 2 * head * w->h_stride);
    w->logits = carve(room, &used, head * outputs);
    return used;
}

size_t sd_room_bytes(const sd_network *network, int batch)
{
    run w;
    return lay_out(&w, network, batch, NULL);
}

/* ---- the trie ---- */

/* Type of sequence i in step t, 0 where it is padded. */
static uint16_t token_at(const run *w, int32_t i, int t)
{
    int length = w->lengths[i],
        first = w->network->padding == SD_PAD_PRE ? w->network->max_length - length : 0;
    return t < first || t >= first + length ? 0 : w->types[(size_t)i * w->stride + (size_t)(t - first)];
}

/* After this step, sequence i has its outputs. */
static bool ends_at(const run *w, int32_t i, int t)
{
    return t + 1 == (w->network->padding == SD_PAD_MASK ? w->lengths[i] : w->network->max_length);
}

static bool comes_before(const run *w, int32_t i, int32_t j)
{
    for (int t = 0; t < w->network->max_length; t++) {
        uint16_t a = token_at(w, i, t), b = token_at(w, j, t);
        if (a != b)
            return a < b;
    }
    return false;
}

/* Merge sort, so that equal beginnings stand together. */
static void sort_sequences(run *w, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        w->sorted[i] = i;
    for (int32_t width = 1; width < count; width *= 2) {
        for (int32_t low = 0; low < count; low += 2 * width) {
            int32_t middle = low + width < count ? low + width : count;
            int32_t high = low + 2 * width < count ? low + 2 * width : count;
            for (int32_t a = low, b = middle, to = low; to < high; to++) {
                bool right = a == middle || (b < high && comes_before(w, w->sorted[b], w->sorted[a]));
                w->merged[to] = w->sorted[right ? b++ : a++];
            }
        }
        int32_t *sorted = w->sorted;
        w->sorted = w->merged;
        w->merged = sorted;
    }
}

/* Nodes of step t over the `active` first sequences in order, which know their nodes of the step before. */
static int next_nodes(run *w, int active, int t)
{
    int nodes = 0;
    int32_t parent = -1;
    uint16_t token = 0;
    for (int a = 0; a < active; a++) {
        int32_t i = w->sorted[a], before = t ? w->node[i] : 0;
        uint16_t now = token_at(w, i, t);
        if (!nodes || before != parent || now != token) {
            w->parent[nodes] = parent = before;
            w->token[nodes++] = token = now;
        }
        w->node[i] = nodes - 1;
    }
    return nodes;
}

/* Moves what ends at step t from the active sequences to the leaves; returns how many stay. */
static int take_leaves(run *w, int active, int t, int *leaves)
{
    size_t units = (size_t)w->network->units_padded;
    int stay = 0;
    int32_t last = -1;
    for (int a = 0; a < active; a++) {
        int32_t i = w->sorted[a];
        if (!ends_at(w, i, t)) {
            w->sorted[stay++] = i;
            continue;
        }
        if (w->node[i] != last) {
            last = w->node[i];
            memcpy(w->ends + (size_t)(*leaves)++ * units, w->h + (size_t)last * units, units * sizeof *w->h);
        }
        w->leaf[i] = *leaves - 1;
    }
    return stay;
}

/* ---- layers ---- */

/* The panel after this one, or the first again. */
static const char *next_panel(const sd_matrix *m, sd_precision precision, int panel)
{
    int next = (panel + 1) * SD_PANEL < m->columns ? panel + 1 : 0;
    return (const char *)m->data + (size_t)next * sd_matrix_bytes(precision, m->rows, SD_PANEL);
}

static int at_most(int rows)
{
    return rows < SD_ROWS_MAX ? rows : SD_ROWS_MAX;
}

/* Panel by panel, since panels stay in the cache for all rows. */
static void run_step(const sd_kernels *k, const sd_step *step, const sd_product *products, int count,
                     int rows)
{
    float z[SD_ROWS_MAX * SD_PANEL] SD_ALIGNED;
    for (int panel = 0; panel < step->units / SD_UNITS; panel++)
        for (int first = 0; first < rows; first += SD_ROWS_MAX) {
            int many = at_most(rows - first);
            if (count == 0)
                memset(z, 0, (size_t)many * SD_PANEL * sizeof *z);
            for (int i = 0; i < count; i++)
                k->product(&products[i], panel, first, many, z, i > 0,
                           next_panel(products[i].matrix, k->precision, panel));
            k->cell(step, panel, first, many, z);
        }
}

/* Step t of one layer for `nodes` nodes. */
static void run_layer(run *w, int layer, int t, int nodes)
{
    const sd_network *n = w->network;
    const layer_state *before = &w->state[layer][(t + 1) % 2], *after = &w->state[layer][t % 2];
    sd_product products[2];
    int count = 0;
    if (layer)
        products[count++] = (sd_product){.matrix = &n->kernel, .operand = w->state[layer - 1][t % 2].operand};
    if (t)
        products[count++] =
            (sd_product){.matrix = &n->recurrent[layer], .operand = before->operand, .row = w->parent};
    for (int i = 0; i < count; i++) {
        products[i].stride = w->h_stride;
        products[i].quantum = 1.0f / (float)SD_H_STEPS;
    }
    sd_step step = {.units = n->units_padded,
                    .input = n->input,
                    .bias = n->bias[layer],
                    .token = layer ? NULL : w->token,
                    .parent = w->parent,
                    .c_before = t ? before->c : NULL,
                    .c = after->c,
                    .h = layer == n->layers - 1 ? w->h : NULL,
                    .operand = after->operand,
                    .stride = w->h_stride,
                    .left_before = before->left,
                    .left = after->left};
    run_step(w->kernels, &step, products, count, nodes);
}

/* ---- the head ---- */

/* Two digits of round(32512 h), each a row: 256 high + low, both from -128..127. */
static void split_int8(int units, const float *h, uint8_t *high, uint8_t *low)
{
    for (int u = 0; u < units; u++) {
        float shifted = h[u] * (float)SD_LEAF_STEPS + 12582912.0f; /* 1.5 * 2^23: rounds to an integer, */
        int q = (int)(sg_bits_from_float(shifted) - 0x4b400000u);  /* which the low bits hold */
        int top = (q + 128 + 0x10000) / 256 - 256;
        high[u] = (uint8_t)(top + 128);
        low[u] = (uint8_t)(q - 256 * top + 128);
    }
}

/* h as the dense layer takes it. */
static void send_leaf(const run *w, const float *h, char *to)
{
    int units = w->network->units_padded;
    if (w->network->precision == SD_FP32)
        memcpy(to, h, (size_t)units * sizeof *h);
    else if (w->network->precision == SD_BF16)
        for (int u = 0; u < units; u++)
            ((uint16_t *)to)[u] = sg_bf16_from_float(h[u]);
    else
        split_int8(units, h, (uint8_t *)to, (uint8_t *)to + w->h_stride);
}

/* logits[leaves, classes_padded] of the rows of `ends` from `first` on. */
static void dense_layer(run *w, int first, int leaves)
{
    const sd_network *n = w->network;
    const sd_kernels *k = w->kernels;
    float z[SD_ROWS_MAX * SD_PANEL] SD_ALIGNED;
    int digits = n->precision == SD_INT8 ? 2 : 1, rows = digits * leaves;
    for (int i = 0; i < leaves; i++)
        send_leaf(w, w->ends + (size_t)(first + i) * (size_t)n->units_padded,
                  w->head_operand + (size_t)(digits * i) * w->h_stride);
    sd_product product = {.matrix = &n->dense,
                          .operand = w->head_operand,
                          .stride = w->h_stride,
                          .quantum = 1.0f / (float)SD_LEAF_STEPS};
    for (int panel = 0; panel * SD_PANEL < n->classes_padded; panel++)
        for (int low = 0; low < rows; low += SD_ROWS_MAX) {
            int many = at_most(rows - low);
            k->product(&product, panel, low, many, z, false, next_panel(&n->dense, n->precision, panel));
            for (int r = low; r < low + many; r++) {
                const float *from = z + (r - low) * SD_PANEL;
                float *to = w->logits + (size_t)(r / digits) * (size_t)n->classes_padded + panel * SD_PANEL;
                for (int c = 0; c < SD_PANEL; c++)
                    to[c] = digits == 1 ? from[c] : r % 2 == 0 ? 256.0f * from[c] : to[c] + from[c];
            }
        }
}

/* The first of the largest of x + bias, which replaces x. */
static int32_t add_bias(int count, float *x, const float *bias)
{
    int32_t best = 0;
    for (int i = 0; i < count; i++) {
        x[i] += bias[i];
        if (x[i] > x[best])
            best = i;
    }
    return best;
}

/* Logits become probabilities. */
static void softmax(const run *w, float *p, sd_score *score)
{
    int classes = w->network->classes;
    int32_t best = add_bias(classes, p, w->network->dense_bias);
    w->kernels->exponentials(classes, p, p[best]);
    double sum = 0, total = 0;
    for (int i = 0; i < classes; i++)
        sum += (double)p[i];
    float factor = (float)(1.0 / sum);
    for (int i = 0; i < classes; i++) {
        p[i] *= factor;
        total += (double)p[i];
    }
    sg_moment_sums sums = {0, 0, 0};
    for (int i = 0; i < classes; i++)
        sg_moments_add(&sums, (double)p[i], total / classes);
    score->best_class = best;
    score->probability = p[best];
    sg_moments_finish(&sums, classes, &score->skewness, &score->kurtosis);
}

static void run_head(run *w, int leaves, int count, sd_score *scores, float *probabilities)
{
    size_t classes = (size_t)w->network->classes, padded = (size_t)w->network->classes_padded;
    sd_score score[HEAD_ROWS];
    for (int first = 0; first < leaves; first += HEAD_ROWS) {
        int rows = leaves - first < HEAD_ROWS ? leaves - first : HEAD_ROWS;
        dense_layer(w, first, rows);
        for (int r = 0; r < rows; r++)
            softmax(w, w->logits + (size_t)r * padded, &score[r]);
        for (int i = 0; i < count; i++) {
            int r = w->leaf[i] - first;
            if (r < 0 || r >= rows)
                continue;
            if (scores)
                scores[i] = score[r];
            if (probabilities)
                memcpy(probabilities + (size_t)i * classes, w->logits + (size_t)r * padded,
                       classes * sizeof(float));
        }
    }
}

void sd_network_run(const sd_network *network, const sd_kernels *kernels, void *room, int batch,
                    const uint16_t *types, const uint16_t *lengths, int count, size_t stride,
                    sd_score *scores, float *probabilities)
{
    run w = {.network = network, .kernels = kernels, .types = types, .lengths = lengths, .stride = stride};
    lay_out(&w, network, batch, room);
    sort_sequences(&w, count);
    int leaves = 0, active = count;
    for (int t = 0; active > 0; t++) {
        int nodes = next_nodes(&w, active, t);
        for (int layer = 0; layer < network->layers; layer++)
            run_layer(&w, layer, t, nodes);
        active = take_leaves(&w, active, t, &leaves);
    }
    run_head(&w, leaves, count, scores, probabilities);
}
