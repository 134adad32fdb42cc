#include "kernels/twin.h"

#include "engine/cell.h"

/* ---- operands ---- */

static float load(const void *from, sg_operand type, int64_t i)
{
    return type == SG_OPERAND_BF16 ? sg_float_from_bf16(((const uint16_t *)from)[i])
                                   : ((const float *)from)[i];
}

static void store(void *to, sg_operand type, int64_t i, float value)
{
    if (type == SG_OPERAND_BF16)
        ((uint16_t *)to)[i] = sg_bf16_from_float(value);
    else
        ((float *)to)[i] = value;
}

/* ---- the trie's levels ---- */

static void forward_node(const sg_forward_level *l, int64_t node, int64_t row)
{
    int64_t units = l->units;
    for (int64_t u = 0; u < units; u++) {
        float z[4], c_before = 0;
        for (int k = 0; k < 4; k++) {
            int64_t column = k * units + u;
            float x =
                l->table ? l->table[l->token[node] * 4 * units + column] : l->x[row * 4 * units + column];
            z[k] = l->z ? l->z[(l->parent[node] - l->parent_first) * 4 * units + column] : 0;
            z[k] += x;
            if (l->bias)
                z[k] += l->bias[column];
        }
        if (l->z)
            c_before = l->c_before[(l->parent[node] - l->parent_first) * units + u];
        sg_cell cell = sg_cell_forward(z[0], z[1], z[2], z[3], c_before);
        if (l->gates) {
            float *gates = l->gates + row * 4 * units + u;
            gates[0] = cell.i;
            gates[units] = cell.f;
            gates[2 * units] = cell.g;
            gates[3 * units] = cell.o;
        }
        l->c[row * units + u] = cell.c;
        store(l->h, l->operand, row * units + u, cell.h);
        if (l->leaf_of_node && l->leaf_of_node[node] >= 0)
            store(l->leaf_h, l->operand, l->leaf_of_node[node] * units + u, cell.h);
    }
}

void sg_twin_forward_level(const sg_forward_level *level)
{
    for (int j = 0; j < level->inner; j++)
        forward_node(level, level->inner_node + j, level->inner_row + j);
    for (int j = 0; j < level->end; j++)
        forward_node(level, level->end_node + j, level->end_row + j);
}

/* One unit of a node; adds to z_sum[k] and *c_sum. */
static void backward_unit(const sg_backward_level *l, int64_t node, int64_t u, float c_before, float z_sum[4],
                          float *c_sum)
{
    int64_t units = l->units;
    const float *gates = l->gates + node * 4 * units + u;
    float dh = 0, dc = 0;
    if (node < l->inner_nodes) {
        dh = l->dh[(node - l->child_inner) * units + u];
        dc = l->dc[(node - l->child_inner) * units + u];
    }
    if (l->leaf_of_node && l->leaf_of_node[node] >= 0)
        dh += l->leaf_gradient[l->leaf_of_node[node] * units + u];
    if (l->from_above)
        dh += l->from_above[node * units + u];
    sg_cell_gradient d = sg_cell_backward(gates[0], gates[units], gates[2 * units], gates[3 * units],
                                          l->c[node * units + u], c_before, dh, dc);
    float dz[4] = {d.zi, d.zf, d.zg, d.zo};
    for (int k = 0; k < 4; k++) {
        store(l->dz, l->operand, (node * 4 + k) * units + u, dz[k]);
        z_sum[k] += dz[k];
    }
    *c_sum += d.c_before;
}

static void backward_parent(const sg_backward_level *l, int64_t q, int64_t u)
{
    int64_t parent = l->parent_first + q, units = l->units;
    float z_sum[4] = {0}, c_sum = 0;
    for (int k = l->child_first[parent]; k < l->child_first[parent + 1]; k++)
        backward_unit(l, l->child[k], u, l->c[parent * units + u], z_sum, &c_sum);
    for (int k = 0; k < 4; k++)
        store(l->z_sum, l->operand, (q * 4 + k) * units + u, z_sum[k]);
    l->c_sum[q * units + u] = c_sum;
}

void sg_twin_backward_level(const sg_backward_level *level)
{
    float z_sum[4] = {0}, c_sum = 0;
    for (int64_t u = 0; u < level->units; u++) {
        for (int64_t q = 0; q < level->parents; q++)
            backward_parent(level, q, u);
        for (int64_t j = 0; level->parents == 0 && j < level->inner; j++)
            backward_unit(level, level->inner_node + j, u, 0, z_sum, &c_sum);
        for (int64_t j = 0; level->parents == 0 && j < level->end; j++)
            backward_unit(level, level->end_node + j, u, 0, z_sum, &c_sum);
    }
}

void sg_twin_token_table(int types, int columns, const float *kernel, const float *bias, float *table)
{
    for (int64_t m = 0; m <= types; m++)
        for (int64_t column = 0; column < columns; column++)
            table[m * columns + column] = bias[column] + (m > 0 ? kernel[(m - 1) * columns + column] : 0);
}

/* ---- the head ---- */

void sg_twin_dropout(const sg_dropout *d)
{
    for (int64_t k = 0; k < d->heads; k++) {
        for (int64_t u = 0; u < d->width; u++) {
            int64_t element = (int64_t)d->row[k] * d->units + u;
            float scale = 0;
            if (u < d->units && d->given)
                scale = d->given[element];
            else if (u < d->units)
                scale = sg_dropout_scale(
                    sg_random_at(d->seed, SG_RANDOM_DROPOUT, d->update, (uint64_t)element), d->rate);
            d->scale[k * d->width + u] = scale;
        }
    }
}

void sg_twin_gather(const sg_gather *g)
{
    int64_t units = g->units;
    for (int64_t k = 0; k < g->heads; k++) {
        for (int64_t u = 0; u < units; u++) {
            int64_t row = g->source_row[k];
            float h = g->gates ? g->gates[(row * 4 + 3) * units + u] * sg_tanh(g->c[row * units + u])
                               : load(g->h, g->operand, row * units + u);
            store(g->out, g->operand, k * units + u, g->scale ? h * g->scale[k * units + u] : h);
        }
    }
}

/* Adds the bias; the lowest place of the largest output. */
static int add_bias(int classes, float *row, const float *bias)
{
    float max = -INFINITY;
    int best = 0;
    for (int n = 0; n < classes; n++) {
        row[n] += bias[n];
        max = row[n] > max ? row[n] : max;
    }
    while (best < classes - 1 && row[best] != max)
        best++;
    return best;
}

/* exp(output - max) in place; their sum, in double: closer than either order of floats to the other. */
static float exponentials(int classes, float *row, float max)
{
    double sum = 0;
    for (int n = 0; n < classes; n++) {
        row[n] = sg_exp(row[n] - max);
        sum += (double)row[n];
    }
    return (float)sum;
}

void sg_twin_softmax_loss(const sg_softmax_loss *s)
{
    for (int64_t k = 0; k < s->heads; k++) {
        float *row = s->outputs + k * s->width, scale = s->weight[k] * s->scale;
        int best = add_bias(s->classes, row, s->bias);
        float max = row[best], label = row[s->label[k]];
        float sum = exponentials(s->classes, row, max), factor = scale / sum;
        s->argmax[k] = best;
        s->loss[k] = log((double)sum) + ((double)max - (double)label);
        for (int n = 0; n < s->width; n++) {
            row[n] = n < s->classes ? row[n] * factor : 0;
            if (n == s->label[k])
                row[n] -= scale;
            if (s->gradient)
                store(s->gradient, SG_OPERAND_BF16, k * s->width + n, row[n]);
        }
    }
}

void sg_twin_batch_result(int heads, const double *loss, const int32_t *argmax, const int32_t *label,
                          const float *weight, double scale, sg_outcome *outcome)
{
    if (heads == 0)
        return;
    outcome->loss = 0;
    outcome->right = 0;
    for (int k = 0; k < heads; k++) {
        outcome->loss += (double)weight[k] * loss[k];
        outcome->right += argmax[k] == label[k] ? (int64_t)weight[k] : 0;
    }
    outcome->loss *= scale;
    if (!isfinite(outcome->loss) && outcome->failed == 0)
        outcome->failed = 1;
}

void sg_twin_sum_heads(int leaves, int units, const int32_t *head_first, const float *gradient,
                       const float *scale, float *leaf_gradient)
{
    for (int64_t l = 0; l < leaves; l++) {
        for (int64_t u = 0; u < units; u++) {
            float sum = 0;
            for (int64_t k = head_first[l]; k < head_first[l + 1]; k++)
                sum += gradient[k * units + u] * (scale ? scale[k * units + u] : 1);
            leaf_gradient[l * units + u] = sum;
        }
    }
}

/* ---- sums over rows ---- */

static float sum_group(const sg_row_sums *s, int group, int64_t column)
{
    float sum = 0;
    for (int j = s->group_first[group]; j < s->group_first[group + 1]; j++) {
        float chunk = 0;
        for (int i = s->chunk_first[j]; i < s->chunk_first[j + 1]; i++) {
            int64_t row = s->member ? s->member[i] : i;
            chunk += load(s->matrix, s->operand, row * s->columns + column);
        }
        sum += chunk;
    }
    return sum;
}

void sg_twin_row_sums(const sg_row_sums *sums)
{
    for (int64_t column = 0; column < sums->columns; column++) {
        float total = 0;
        for (int group = 0; group < sums->groups; group++) {
            float sum = sum_group(sums, group, column);
            if (group > 0 && sums->kernel)
                sums->kernel[(int64_t)(group - 1) * sums->columns + column] = sum;
            total += sum;
        }
        sums->total[column] = total;
    }
}

/* ---- the optimizer ---- */

void sg_twin_norm(int64_t count, const float *gradient, double *partial, sg_outcome *outcome)
{
    double sum = 0;
    if (count == 0)
        return;
    for (int64_t first = 0; first < count; first += SG_NORM_CHUNK) {
        double chunk = 0;
        for (int64_t i = first; i < first + SG_NORM_CHUNK && i < count; i++)
            chunk += (double)gradient[i] * (double)gradient[i];
        partial[first / SG_NORM_CHUNK] = chunk;
        sum += chunk;
    }
    outcome->norm = sqrt(sum);
    if (!isfinite(outcome->norm) && outcome->failed == 0)
        outcome->failed = 2;
}

void sg_twin_adam(const sg_adam_update *a)
{
    double norm = a->outcome->norm;
    float scale = a->clip_norm > 0 && norm > a->clip_norm ? (float)(a->clip_norm / norm) : 1;
    for (int64_t i = 0; !a->outcome->failed && i < a->count; i++) {
        sg_adam_element(&a->w[i], &a->m[i], &a->v[i], a->gradient[i] * scale, a->rate, a->gain1, a->gain2,
                        a->epsilon);
        if (a->w_bf16)
            a->w_bf16[i] = sg_bf16_from_float(a->w[i]);
    }
}

/* ---- inference ---- */

void sg_twin_softmax_rows(const sg_softmax_rows *s)
{
    for (int64_t r = 0; r < s->rows; r++) {
        float *row = s->outputs + r * s->width;
        int best = add_bias(s->classes, row, s->bias);
        float factor = 1.0f / exponentials(s->classes, row, row[best]);
        for (int n = 0; n < s->width; n++)
            row[n] = n < s->classes ? row[n] * factor : 0;
        s->argmax[r] = best;
        s->p_max[r] = row[best];
    }
}

void sg_twin_moments(int rows, int classes, int width, const float *p, double *skewness, double *kurtosis)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *row = p + r * width;
        double sum = 0;
        sg_moment_sums sums = {0, 0, 0};
        for (int n = 0; n < classes; n++)
            sum += (double)row[n];
        for (int n = 0; n < classes; n++)
            sg_moments_add(&sums, (double)row[n], sum / classes);
        sg_moments_finish(&sums, classes, &skewness[r], &kurtosis[r]);
    }
}

/* ---- layouts ---- */

void sg_twin_convert(int64_t count, const void *from, sg_operand from_type, void *to, sg_operand to_type)
{
    for (int64_t i = 0; i < count; i++)
        store(to, to_type, i, load(from, from_type, i));
}

void sg_twin_transpose(const sg_transpose *t)
{
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t c = 0; c < t->columns; c++)
            store(t->to, t->to_type, c * t->to_stride + r,
                  load(t->from, t->from_type, r * t->from_stride + c));
}

void sg_twin_one_hot(int64_t rows, int types, const uint16_t *token, void *x, sg_operand operand)
{
    for (int64_t r = 0; r < rows; r++)
        for (int m = 0; m < types; m++)
            store(x, operand, r * types + m, token[r] == m + 1 ? 1 : 0);
}

void sg_twin_scatter_last(const sg_scatter_last *s)
{
    int64_t units = s->units, step_size = s->rows * units;
    for (int64_t t = 0; t < s->steps; t++) {
        for (int64_t i = 0; i < step_size; i++) {
            float gradient = s->gradient[i] * (s->scale ? s->scale[i] : 1);
            store(s->dy, s->operand, t * step_size + i, s->last[i / units] == t ? gradient : 0);
        }
    }
}
