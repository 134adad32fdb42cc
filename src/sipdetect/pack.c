#include "sipdetect/pack.h"

#include "engine/cell.h"

static int group_of(sd_precision precision)
{
    return precision == SD_FP32 ? 1 : precision == SD_BF16 ? 2 : 4;
}

static size_t element_of(sd_precision precision)
{
    return precision == SD_FP32 ? 4 : precision == SD_BF16 ? 2 : 1;
}

static size_t panels_of(int columns)
{
    return ((size_t)columns + SD_PANEL - 1) / SD_PANEL;
}

size_t sd_matrix_bytes(sd_precision precision, int rows, int columns)
{
    size_t group = (size_t)group_of(precision), groups = ((size_t)rows + group - 1) / group;
    return panels_of(columns) * groups * group * SD_PANEL * element_of(precision);
}

static size_t place_of(sd_precision precision, int rows_padded, int k, int c)
{
    size_t group = (size_t)group_of(precision), groups = ((size_t)rows_padded + group - 1) / group;
    size_t panel = (size_t)c / SD_PANEL,
           word = (panel * groups + (size_t)k / group) * SD_PANEL + (size_t)c % SD_PANEL;
    return word * group + (size_t)k % group;
}

/* The scale that spreads a column's weights over -127..127; 0 for a column of zeros. */
static float column_scale(const float *weights, int rows, int columns, int c)
{
    float most = 0;
    for (int k = 0; k < rows; k++)
        most = fmaxf(most, fabsf(weights[(size_t)k * (size_t)columns + (size_t)c]));
    return most / 127.0f;
}

static void pack_int8(const float *weights, int rows, int columns, int rows_padded, int8_t *data,
                      float *scale, int32_t *sums)
{
    for (int c = 0; c < columns; c++) {
        scale[c] = column_scale(weights, rows, columns, c);
        sums[c] = 0;
        for (int k = 0; k < rows; k++) {
            double exact = scale[c] > 0
                               ? (double)weights[(size_t)k * (size_t)columns + (size_t)c] / (double)scale[c]
                               : 0;
            int q = (int)rint(fmin(fmax(exact, -127.0), 127.0));
            data[place_of(SD_INT8, rows_padded, k, c)] = (int8_t)q;
            sums[c] += q;
        }
    }
    for (size_t c = (size_t)columns; c < panels_of(columns) * SD_PANEL; c++) {
        scale[c] = 0;
        sums[c] = 0;
    }
}

void sd_matrix_pack(sd_precision precision, const float *weights, int rows, int columns, int rows_padded,
                    void *data, float *scale, int32_t *sums)
{
    memset(data, 0, sd_matrix_bytes(precision, rows_padded, columns));
    if (precision == SD_INT8) {
        pack_int8(weights, rows, columns, rows_padded, data, scale, sums);
        return;
    }
    for (int k = 0; k < rows; k++)
        for (int c = 0; c < columns; c++) {
            size_t place = place_of(precision, rows_padded, k, c);
            float w = weights[(size_t)k * (size_t)columns + (size_t)c];
            if (precision == SD_FP32)
                ((float *)data)[place] = w;
            else
                ((uint16_t *)data)[place] = sg_bf16_from_float(w);
        }
}
