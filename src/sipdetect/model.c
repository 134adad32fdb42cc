/* model.c: opening a model, and its properties. */
#include "sipdetect/internal.h"

#include "base/memory.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

sipdetect_status sd_public(sg_status status)
{
    switch (status) {
    case SG_OK:
        return SIPDETECT_OK;
    case SG_E_IO:
        return SIPDETECT_E_IO;
    case SG_E_FORMAT:
        return SIPDETECT_E_FORMAT;
    case SG_E_MEMORY:
        return SIPDETECT_E_MEMORY;
    case SG_E_DEVICE:
        return SIPDETECT_E_UNSUPPORTED;
    default:
        return SIPDETECT_E_ARGUMENT;
    }
}

const char *sipdetect_version(void)
{
    return SG_VERSION;
}

const char *sipdetect_error(void)
{
    return sg_error_text();
}

const char *sipdetect_simd_levels(void)
{
    return sd_kernels_all();
}

/* ---- opening ---- */

static sg_status choose_kernels(sipdetect_model *model, const char *simd)
{
    model->kernels = sd_kernels_find(simd, model->file.network.precision);
    if (!model->kernels)
        return sg_fail(SG_E_DEVICE, "no instructions '%s' here for %s weights; available: %s",
                       simd ? simd : "auto", sipdetect_precision(model), sd_kernels_all());
    return SG_OK;
}

/* From a path, or from memory where that is NULL. */
static sg_status open_model(sipdetect_model **out, const char *path, const void *data, size_t bytes,
                            const char *simd)
{
    sipdetect_model *model;
    SG_TRY(sg_alloc(&model, 1, "model"));
    sg_status status = path ? sd_file_map(&model->file, path) : sd_file_take(&model->file, data, bytes);
    if (status == SG_OK)
        status = choose_kernels(model, simd);
    if (status != SG_OK)
        sipdetect_close(model);
    else
        *out = model;
    return status;
}

sipdetect_status sipdetect_open(sipdetect_model **model, const char *path, const char *simd)
{
    *model = NULL;
    if (!path)
        return sd_public(sg_fail(SG_E_CONFIG, "no path to open"));
    return sd_public(open_model(model, path, NULL, 0, simd));
}

sipdetect_status sipdetect_open_memory(sipdetect_model **model, const void *data, size_t bytes,
                                       const char *simd)
{
    *model = NULL;
    if (!data)
        return sd_public(sg_fail(SG_E_CONFIG, "no memory to open"));
    return sd_public(open_model(model, NULL, data, bytes, simd));
}

void sipdetect_close(sipdetect_model *model)
{
    if (!model)
        return;
    sd_file_close(&model->file);
    free(model);
}

/* ---- properties of a model ---- */

int sipdetect_message_types(const sipdetect_model *model)
{
    return model->file.network.message_types;
}

int sipdetect_max_length(const sipdetect_model *model)
{
    return model->file.network.max_length;
}

int sipdetect_classes(const sipdetect_model *model)
{
    return model->file.network.classes;
}

const char *sipdetect_padding(const sipdetect_model *model)
{
    static const char *const names[] = {[SD_PAD_POST] = "post", [SD_PAD_MASK] = "mask", [SD_PAD_PRE] = "pre"};
    return names[model->file.network.padding];
}

const char *sipdetect_precision(const sipdetect_model *model)
{
    static const char *const names[] = {[SD_FP32] = "fp32", [SD_BF16] = "bf16", [SD_INT8] = "int8"};
    return names[model->file.network.precision];
}

const char *sipdetect_simd(const sipdetect_model *model)
{
    return sd_kernels_name(model->kernels);
}

const char *sipdetect_provenance(const sipdetect_model *model)
{
    return model->file.provenance;
}

size_t sipdetect_model_bytes(const sipdetect_model *model)
{
    return model->file.bytes;
}

const char *sipdetect_type_rule(const sipdetect_model *model)
{
    return sg_type_rule_name(sg_alphabet_rule(model->file.alphabet));
}

const char *sipdetect_retransmissions(const sipdetect_model *model)
{
    return model->file.spec->collapsed ? "collapse" : "keep";
}

const char *sipdetect_type_name(const sipdetect_model *model, int id)
{
    const sg_alphabet *alphabet = model->file.alphabet;
    return id >= 1 && id <= sg_alphabet_size(alphabet) ? sg_alphabet_name(alphabet, id) : NULL;
}

uint16_t sipdetect_type_id(const sipdetect_model *model, const char *name)
{
    return name && *name ? sg_alphabet_id_of_name(model->file.alphabet, name) : 0;
}

sipdetect_status sipdetect_type_of_sip(const sipdetect_model *model, const char *text, size_t size,
                                       uint16_t *type)
{
    sg_sip_message message;
    *type = 0;
    if (!sg_sip_read(&message, text, size)) {
        sg_fail(SG_E_FORMAT, "the text does not begin with a SIP/2.0 start line");
        return SIPDETECT_E_MESSAGE;
    }
    *type = sg_alphabet_id(model->file.alphabet, &message, NULL);
    return SIPDETECT_OK;
}

static bool is_class(const sipdetect_model *model, int32_t number)
{
    return number >= 0 && number < model->file.network.classes;
}

int sipdetect_class_dialog(const sipdetect_model *model, int32_t number, uint16_t *types, int room)
{
    if (!is_class(model, number))
        return 0;
    const uint32_t start = model->file.class_start[number];
    const int length = (int)(model->file.class_start[number + 1] - start), n = length < room ? length : room;
    if (n > 0)
        memcpy(types, model->file.class_types + start, (size_t)n * sizeof *types);
    return length;
}

int64_t sipdetect_class_train(const sipdetect_model *model, int32_t number)
{
    return is_class(model, number) ? (int64_t)model->file.class_train[number] : 0;
}

void sipdetect_limits(const sipdetect_model *model, int k, double *skewness, double *kurtosis)
{
    const double *limits = sd_limits(&model->file, k);
    *skewness = limits ? limits[0] : NAN;
    *kurtosis = limits ? limits[1] : NAN;
}
