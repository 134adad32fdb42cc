/* A .sipm file whose contents are anything under a checksum that is right, opened and run.
 *
 * Byte 0 of an input: bits 0-2 choose one of six good files (precision, layers); bit 7 leaves size and
 * checksum as the edits left them.  Then edits of eight bytes each: where (3 bytes), what (1 byte), value (4
 * bytes).  What is accepted must run without fault, and its verdicts keep to their ranges. */
#include "base/status.h"
#include "export/sipm_image.h"
#include "h5_files.h"
#include "sipdetect/sipm_format.h"
#include "sipgpu/sipdetect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES = 6, ROOM = 256 };

static void *good[FILES];
static size_t good_bytes[FILES];
static unsigned char *copy;

/* Scores are the fuzzer's to change. */
static void make_file(int i)
{
    const sg_spec spec = {4, 4, 5, 3, 1 + i / 3, 0, (sg_padding)(i % 3)};
    static const sg_init_options init = {.seed = 1, .forget_bias = 1};
    int32_t argmax[16] = {0};
    float p_max[16] = {0};
    double skewness[16] = {0}, kurtosis[16] = {0};
    const sg_outputs scores = {
        .count = 16, .argmax = argmax, .p_max = p_max, .skewness = skewness, .kurtosis = kurtosis};
    sg_corpus corpus;
    sg_model model;
    sg_prefixes *prefixes;
    fuzz_small_corpus(&corpus);
    fuzz_expect(sg_model_make(&model, &spec, &corpus) == SG_OK);
    fuzz_expect(sg_params_init(&model.params, &spec, &init) == SG_OK);
    model.prefix_limit = calloc((size_t)spec.max_length, sizeof *model.prefix_limit);
    model.has_thresholds = model.has_kmeans = true;
    for (int c = 0; c < spec.classes; c++)
        model.class_train[c] = 1 + c;
    fuzz_expect(sg_prefixes_open(&prefixes, model.class_sequence, model.class_length, model.class_train,
                                 spec.classes, spec.max_length) == SG_OK);
    fuzz_expect(sg_sipm_image(&model, prefixes, &scores, (sg_weights)(i % 3), &good[i], &good_bytes[i]) ==
                SG_OK);
    sg_prefixes_close(prefixes);
    sg_model_free(&model);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    size_t most = 0;
    (void)argc;
    (void)argv;
    for (int i = 0; i < FILES; i++) {
        make_file(i);
        most = good_bytes[i] > most ? good_bytes[i] : most;
    }
    copy = aligned_alloc(SD_ALIGNMENT, sd_round_up(most + ROOM, SD_ALIGNMENT));
    return 0;
}

/* One edit; returns the size of the file afterwards. */
static size_t apply(const uint8_t *edit, size_t bytes, size_t room)
{
    static const uint32_t odd[] = {0,          1,          0x7f800000, 0x7fc00000,
                                   0xffffffff, 0x80000000, 0x7fffffff, 0x00010000};
    size_t at = ((size_t)edit[0] | (size_t)edit[1] << 8 | (size_t)edit[2] << 16) % (bytes - 3);
    uint32_t value, old;
    memcpy(&value, edit + 4, sizeof value);
    at = edit[3] & 8 ? at & ~(size_t)3 : at;
    memcpy(&old, copy + at, sizeof old);
    switch (edit[3] & 7) {
    case 0:
        copy[at] = (unsigned char)value;
        return bytes;
    case 1:
        value = old + (uint32_t)(int8_t)value;
        break;
    case 2:
        value = odd[value % (sizeof odd / sizeof *odd)];
        break;
    case 3: /* as it is somewhere else */
        memcpy(&value, copy + value % (bytes - 3), sizeof value);
        break;
    case 4: /* cut, or made longer */
        return 4 + value % (room - 4);
    default:
        break;
    }
    memcpy(copy + at, &value, sizeof value);
    return bytes;
}

static void check_verdict(const sipdetect_model *model, const sipdetect_verdict *v)
{
    fuzz_expect(v->best_class >= -1 && v->best_class < sipdetect_classes(model));
    fuzz_expect(v->scored == (v->best_class >= 0));
    fuzz_expect(v->abnormal >= -1 && v->abnormal <= 1 && v->abnormal_beginning >= -1 &&
                v->abnormal_beginning <= 1);
    fuzz_expect(!v->known_dialog || v->known_prefix);
}

static void run(const sipdetect_model *model, sipdetect_worker *worker, sipdetect_dialog *dialog)
{
    const int types = sipdetect_message_types(model), longest = sipdetect_max_length(model);
    const int classes = sipdetect_classes(model);
    uint16_t known[8];
    float probabilities[64];
    sipdetect_verdict v;
    double s, k;
    for (int c = -1; c <= classes && c < 8; c++) {
        const int length = sipdetect_class_dialog(model, c, known, 8);
        sipdetect_dialog_reset(dialog);
        for (int t = 0; t < length && t < 8; t++) {
            fuzz_expect(sipdetect_push(worker, dialog, known[t], &v) == SIPDETECT_OK);
            check_verdict(model, &v);
        }
        const uint16_t lengths = (uint16_t)(length < 8 ? length : 8);
        if (lengths && classes <= 64)
            fuzz_expect(sipdetect_probabilities(worker, known, &lengths, 1, 8, probabilities) ==
                        SIPDETECT_OK);
    }
    for (int t = 0; t < longest + 2 && t < 20; t++)
        fuzz_expect(sipdetect_push(worker, dialog, (uint16_t)(t * 7 % (types + 1)), &v) == SIPDETECT_OK);
    fuzz_expect(sipdetect_end(worker, dialog, &v) == SIPDETECT_OK);
    check_verdict(model, &v);
    for (int i = -1; i <= types + 1 && i < 40; i++)
        fuzz_expect((sipdetect_type_name(model, i) != NULL) == (i >= 1 && i <= types));
    for (int i = -1; i <= longest + 1 && i < 40; i++)
        sipdetect_limits(model, i, &s, &k);
    fuzz_expect(strlen(sipdetect_provenance(model)) < sipdetect_model_bytes(model));
    sipdetect_type_id(model, "INVITE");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sipdetect_model *model;
    sipdetect_worker *worker;
    sipdetect_dialog *dialog;
    if (size < 1)
        return 0;
    const int file = (data[0] & 7) % FILES;
    const size_t room = good_bytes[file] + ROOM;
    size_t bytes = good_bytes[file];
    memcpy(copy, good[file], bytes);
    memset(copy + bytes, 0, ROOM);
    for (size_t at = 1; at + 8 <= size; at += 8)
        bytes = apply(data + at, bytes, room);
    if (!(data[0] & 0x80) && bytes >= sizeof(sd_header)) {
        sd_header *header = (sd_header *)copy;
        memcpy(header->magic, SD_MAGIC, sizeof header->magic);
        header->version = SD_VERSION;
        header->bytes = bytes;
        header->checksum = sd_checksum(copy, bytes);
    }
    if (sipdetect_open_memory(&model, copy, bytes, data[0] & 8 ? "generic" : NULL) != SIPDETECT_OK) {
        fuzz_expect(sipdetect_error()[0] != '\0' && model == NULL);
        return 0;
    }
    const sipdetect_worker_options options = {.batch = 3, .recompute = data[0] >> 4 & 1};
    fuzz_expect(sipdetect_worker_open(&worker, model, &options) == SIPDETECT_OK);
    fuzz_expect(sipdetect_dialog_open(&dialog, model) == SIPDETECT_OK);
    run(model, worker, dialog);
    sipdetect_dialog_close(dialog);
    sipdetect_worker_close(worker);
    sipdetect_close(model);
    return 0;
}
