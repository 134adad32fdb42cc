#include "model/spec.h"

#include "corpus/corpus.h"
#include <string.h>

static const char *const padding_names[] = {"post", "mask", "pre"};

const char *sg_padding_name(sg_padding padding)
{
    return padding_names[padding];
}

int sg_padding_from_name(const char *name)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(name, padding_names[i]) == 0)
            return i;
    return -1;
}

static sg_status check_range(const char *what, long value, long min, long max)
{
    if (value < min || value > max)
        return sg_fail(SG_E_CONFIG, "%s = %ld: must be from %ld to %ld", what, value, min, max);
    return SG_OK;
}

sg_status sg_spec_check(const sg_spec *spec)
{
    SG_TRY(check_range("message types", spec->message_types, 1, SG_MESSAGE_TYPES_MAX - 1));
    SG_TRY(check_range("longest dialog", spec->max_length, 1, SG_LENGTH_MAX));
    SG_TRY(check_range("units", spec->units, 1, SG_UNITS_MAX));
    /* The skewness of fewer than three outputs has no maximum to divide by. */
    SG_TRY(check_range("classes", spec->classes, 3, SG_CLASSES_MAX));
    SG_TRY(check_range("layers", spec->layers, 1, SG_LAYERS_MAX));
    if (!(spec->dropout >= 0 && spec->dropout < 1))
        return sg_fail(SG_E_CONFIG, "dropout = %g: must be from 0 to less than 1", spec->dropout);
    return check_range("padding", (long)spec->padding, SG_PADDING_POST, SG_PADDING_PRE);
}
