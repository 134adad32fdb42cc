/* layout.c: where each tensor lies; separate from params.c because engine modules contain it too. */
#include "model/params.h"

#include <stdio.h>

enum { TENSOR_ALIGNMENT = 16 };

static int add_tensor(sg_layout *layout, const char *name, int layer, int rank, int64_t rows, int64_t columns)
{
    sg_tensor *t = &layout->tensor[layout->tensors];
    if (layer >= 0)
        snprintf(t->name, sizeof t->name, "lstm_%d/%s", layer, name);
    else
        snprintf(t->name, sizeof t->name, "dense/%s", name);
    t->rank = rank;
    t->dims[0] = rank == 2 ? rows : columns;
    t->dims[1] = rank == 2 ? columns : 1;
    t->offset = layout->count;
    t->count = (size_t)(rows * columns);
    layout->count += (t->count + TENSOR_ALIGNMENT - 1) / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
    return layout->tensors++;
}

void sg_layout_make(sg_layout *layout, const sg_spec *spec)
{
    *layout = (sg_layout){0};
    for (int l = 0; l < spec->layers; l++) {
        int in = l == 0 ? spec->message_types : spec->units;
        layout->kernel[l] = add_tensor(layout, "kernel", l, 2, in, 4 * (int64_t)spec->units);
        layout->recurrent[l] =
            add_tensor(layout, "recurrent_kernel", l, 2, spec->units, 4 * (int64_t)spec->units);
        layout->bias[l] = add_tensor(layout, "bias", l, 1, 1, 4 * (int64_t)spec->units);
    }
    layout->dense_kernel = add_tensor(layout, "kernel", -1, 2, spec->units, spec->classes);
    layout->dense_bias = add_tensor(layout, "bias", -1, 1, 1, spec->classes);
}
