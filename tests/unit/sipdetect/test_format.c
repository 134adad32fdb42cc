/* .sipm files: what a good one holds, and that no bad one is taken. */
#include "sipm_case.h"

#include <unistd.h>

typedef struct {
    sipm_case good[SD_PRECISIONS]; /* two layers */
    unsigned char *copy;           /* room for changes of the largest */
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    const sg_spec spec = case_spec(2, SG_PADDING_POST);
    size_t most = 0;
    for (int p = 0; p < SD_PRECISIONS; p++) {
        case_open(&f->good[p], (sg_weights)p, &spec, 3);
        most = f->good[p].bytes > most ? f->good[p].bytes : most;
    }
    f->copy = aligned_alloc(64, (most + 4096) / 64 * 64);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    for (int p = 0; p < SD_PRECISIONS; p++)
        case_close(&f->good[p]);
    free(f->copy);
    free(f);
    return 0;
}

static sipdetect_status open_copy(const fixture *f, size_t bytes)
{
    sipdetect_model *model;
    sipdetect_status status = sipdetect_open_memory(&model, f->copy, bytes, NULL);
    assert_true((model != NULL) == (status == SIPDETECT_OK));
    sipdetect_close(model);
    return status;
}

static void *fresh_copy(const fixture *f, int precision)
{
    return memcpy(f->copy, f->good[precision].image, f->good[precision].bytes);
}

static void good_files_open(void **state)
{
    const fixture *f = *state;
    for (int p = 0; p < SD_PRECISIONS; p++) {
        fresh_copy(f, p);
        assert_sd(open_copy(f, f->good[p].bytes));
    }
}

static void layout_is_as_documented(void **state)
{
    const fixture *f = *state;
    for (int p = 0; p < SD_PRECISIONS; p++) {
        const unsigned char *image = f->good[p].image;
        const sd_header *header = f->good[p].image;
        const sd_entry *table = (const sd_entry *)(image + 32);
        uint64_t end = 32 + 24 * header->sections;
        assert_memory_equal(image, "\x89SIPM\r\n\x1a", 8);
        assert_int_equal(image[24], 1);
        assert_int_equal(header->bytes, f->good[p].bytes);
        for (uint32_t i = 0; i < header->sections; i++) {
            assert_int_equal(table[i].offset, (end + 63) / 64 * 64);
            for (; end < table[i].offset; end++)
                assert_int_equal(image[end], 0);
            end += table[i].bytes;
            assert_true(i == 0 || table[i].id > table[i - 1].id);
        }
        assert_int_equal(end, f->good[p].bytes);
    }
}

/* One bit anywhere: the checksum, or what stands before it, tells. */
static void no_flipped_bit_passes(void **state)
{
    const fixture *f = *state;
    sg_random random = sg_random_open(1, SG_RANDOM_BENCH, 0);
    for (int p = 0; p < SD_PRECISIONS; p++) {
        const size_t bytes = f->good[p].bytes;
        unsigned char *copy = fresh_copy(f, p);
        for (int id = 0; id < SD_SECTIONS; id++) {
            size_t size = 32 + 24 * 20; /* header and table */
            unsigned char *at = id ? case_section(copy, id, &size) : copy;
            for (int i = 0; at && i < (id ? 8 : 500); i++) {
                const size_t byte = sg_random_below(&random, (uint32_t)size);
                const unsigned char bit = (unsigned char)(1u << sg_random_below(&random, 8));
                at[byte] ^= bit;
                assert_int_equal(open_copy(f, bytes), SIPDETECT_E_FORMAT);
                at[byte] ^= bit;
            }
        }
        assert_sd(open_copy(f, bytes));
    }
}

static void no_cut_file_passes(void **state)
{
    const fixture *f = *state;
    for (int p = 0; p < SD_PRECISIONS; p++) {
        const size_t bytes = f->good[p].bytes;
        sd_header *header = fresh_copy(f, p);
        for (int id = 1; id < SD_SECTIONS; id++) {
            const unsigned char *at = case_section(header, id, NULL);
            for (int d = -1; at && d <= 1; d++)
                assert_int_equal(open_copy(f, (size_t)(at - f->copy) + (size_t)(d + 1) - 1),
                                 SIPDETECT_E_FORMAT);
        }
        for (size_t n = 0; n < bytes; n += n < 1200 ? 1 : bytes / 50)
            assert_int_equal(open_copy(f, n), SIPDETECT_E_FORMAT);
        memset(f->copy + bytes, 0, 64);
        assert_sd_fails(SIPDETECT_E_FORMAT, "extended", open_copy(f, bytes + 64));
        /* Cut, and signed by who cut it. */
        for (size_t n = 32; n < bytes; n += n < 1200 ? 1 : bytes / 50) {
            fresh_copy(f, p);
            header->bytes = n;
            case_sign(f->copy, n);
            assert_int_equal(open_copy(f, n), SIPDETECT_E_FORMAT);
        }
    }
}

static void other_files_are_named(void **state)
{
    const fixture *f = *state;
    const size_t bytes = f->good[0].bytes;
    sd_header *header = fresh_copy(f, 0);
    header->version = 2;
    assert_sd_fails(SIPDETECT_E_FORMAT, "format version 2; this library reads version 1",
                    open_copy(f, bytes));
    header = fresh_copy(f, 0);
    memcpy(header->magic, "\x89HDF\r\n\x1a\n", 8);
    assert_sd_fails(SIPDETECT_E_FORMAT, "not a .sipm model", open_copy(f, bytes));
    header = fresh_copy(f, 0);
    f->copy[bytes - 1] ^= 1;
    assert_sd_fails(SIPDETECT_E_FORMAT, "the checksum is wrong", open_copy(f, bytes));
}

/* ---- files that are wrong although their checksum is right ---- */

/* One number of the file, replaced. */
typedef struct {
    const char *message;
    int id;
    size_t at; /* in bytes; SIZE_MAX: the last number */
    int size;
    uint64_t value;
} edit;

static void refuses(const fixture *f, int precision, const edit *e)
{
    size_t bytes = 0;
    fresh_copy(f, precision);
    char *at = case_section(f->copy, e->id, &bytes);
    assert_non_null(at);
    memcpy(at + (e->at == SIZE_MAX ? bytes - (size_t)e->size : e->at), &e->value, (size_t)e->size);
    case_sign(f->copy, f->good[precision].bytes);
    if (open_copy(f, f->good[precision].bytes) != SIPDETECT_E_FORMAT ||
        !strstr(sipdetect_error(), e->message))
        fail_msg("%s at %zu = %llx: %s", sd_section_name(e->id), e->at, (unsigned long long)e->value,
                 sipdetect_error());
}

static void signed_nonsense_is_found(void **state)
{
    const fixture *f = *state;
    const uint64_t nan = 0x7ff8000000000000, inf = 0x7ff0000000000000;
    const edit edits[] = {
        {"message types", SD_SPEC, 0, 4, 0},
        {"spec", SD_SPEC, 0, 4, CASE_TYPES - 1},
        {"message types", SD_SPEC, 0, 4, UINT32_MAX},
        {"longest dialog", SD_SPEC, 4, 4, UINT32_MAX},
        {"spec", SD_SPEC, 4, 4, 65535},
        {"units", SD_SPEC, 8, 4, 65537},
        {"spec", SD_SPEC, 8, 4, 65536},
        {"classes", SD_SPEC, 12, 4, 2},
        {"spec", SD_SPEC, 12, 4, 4 * CASE_CLASSES},
        {"messages of all", SD_SPEC, 12, 4, 1 << 26},
        {"layers", SD_SPEC, 16, 4, 3},
        {"spec", SD_SPEC, 16, 4, 1},
        {"padding", SD_SPEC, 20, 4, 3},
        {"precision", SD_SPEC, 24, 4, 3},
        {"type rule", SD_SPEC, 28, 4, 2},
        {"collapsed", SD_SPEC, 32, 4, 2},
        {"optional", SD_SPEC, 36, 4, 8},
        {"sections", SD_SPEC, 36, 4, 0},
        {"beginnings", SD_SPEC, 40, 4, UINT32_MAX},
        {"spec", SD_SPEC, 40, 4, INT32_MAX},
        {"without meaning", SD_SPEC, 44, 4, 1},
        {"messages of all", SD_SPEC, 48, 8, UINT64_MAX},
        {"spec", SD_SPEC, 48, 8, UINT32_MAX},
        {"the alphabet", SD_SPEC, 56, 8, UINT64_MAX - 63},
        {"the provenance", SD_SPEC, 64, 8, UINT64_MAX - 63},
        {"without meaning", SD_SPEC, 112, 8, 1},
        {"names", SD_ALPHABET, 6, 1, 'x'},
        {"names", SD_ALPHABET, 0, 1, 0},
        {"names", SD_ALPHABET, SIZE_MAX, 1, 'x'},
        {"twice", SD_ALPHABET, 11, 3, 0x4b4341 /* ACK */},
        {"PROVENANCE", SD_PROVENANCE, 0, 1, 0},
        {"PROVENANCE", SD_PROVENANCE, SIZE_MAX, 1, 'x'},
        {"CLASS_START", SD_CLASS_START, 0, 4, 1},
        {"CLASS_START", SD_CLASS_START, 4, 4, 0},
        {"CLASS_START", SD_CLASS_START, 8, 4, UINT32_MAX},
        {"CLASS_START", SD_CLASS_START, SIZE_MAX, 4, UINT32_MAX},
        {"CLASS_TYPES", SD_CLASS_TYPES, 0, 2, 0},
        {"CLASS_TYPES", SD_CLASS_TYPES, SIZE_MAX, 2, CASE_TYPES + 1},
        {"CLASS_TRAIN", SD_CLASS_TRAIN, 0, 8, UINT64_MAX},
        {"TRIE_FIRST", SD_TRIE_FIRST, 0, 4, 0},
        {"TRIE_FIRST", SD_TRIE_FIRST, 4, 4, 1},
        {"TRIE_FIRST", SD_TRIE_FIRST, 4, 4, UINT32_MAX},
        {"TRIE_FIRST", SD_TRIE_FIRST, 8, 4, 2},
        {"TRIE_FIRST", SD_TRIE_FIRST, SIZE_MAX, 4, 5},
        {"TRIE_TYPE", SD_TRIE_TYPE, 0, 2, 1},
        {"TRIE_TYPE", SD_TRIE_TYPE, 2, 2, 0},
        {"TRIE_TYPE", SD_TRIE_TYPE, 2, 2, 3},
        {"TRIE_TYPE", SD_TRIE_TYPE, SIZE_MAX, 2, 65535},
        {"TRIE_PASSING", SD_TRIE_PASSING, 0, 8, 1},
        {"TRIE_PASSING", SD_TRIE_PASSING, SIZE_MAX, 8, 0},
        {"TRIE_PASSING", SD_TRIE_ENDING, SIZE_MAX, 8, UINT64_MAX},
        {"TRIE_SCORE", SD_TRIE_SCORE, 24, 8, nan},
        {"TRIE_SCORE", SD_TRIE_SCORE, 32, 8, inf},
        {"TRIE_SCORE", SD_TRIE_SCORE, 40, 4, 0x7fc00000},
        {"TRIE_SCORE", SD_TRIE_SCORE, 40, 4, 0x40000000},
        {"TRIE_SCORE", SD_TRIE_SCORE, SIZE_MAX, 4, UINT32_MAX},
        {"TRIE_SCORE", SD_TRIE_SCORE, SIZE_MAX, 4, CASE_CLASSES},
        {"LIMITS", SD_LIMITS, 8, 8, nan},
        {"PREFIX_LIMITS", SD_PREFIX_LIMITS, SIZE_MAX, 8, inf},
        {"CENTROIDS", SD_CENTROIDS, 0, 8, nan},
        {"INPUT", SD_INPUT, SIZE_MAX, 4, 0xff800000},
        {"BIAS_0", SD_BIAS_0, 0, 4, 0x7fc00000},
        {"BIAS_1", SD_BIAS_1, 4, 4, 0x7f800001},
        {"DENSE_BIAS", SD_DENSE_BIAS, SIZE_MAX, 4, 0x7f800000},
    };
    for (int p = 0; p < SD_PRECISIONS; p++)
        for (size_t i = 0; i < sizeof edits / sizeof *edits; i++)
            refuses(f, p, &edits[i]);
    const edit packed[] = {{"RECURRENT_0", SD_RECURRENT_0, SIZE_MAX, 4, 0x7fc00000},
                           {"KERNEL_1", SD_KERNEL_1, 0, 4, 0x7f800000},
                           {"DENSE", SD_DENSE, SIZE_MAX, 4, 0xff80ff80}};
    for (int p = SD_FP32; p <= SD_BF16; p++)
        for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
            refuses(f, p, &packed[i]);
    const edit scaled[] = {{"DENSE_SCALE", SD_DENSE_SCALE, SIZE_MAX, 4, 0x7fc00000},
                           {"RECURRENT_1_SCALE", SD_RECURRENT_1_SCALE, 0, 4, 0xff800000},
                           {"KERNEL_1_SUMS", SD_KERNEL_1_SUMS, 0, 4, 0x80000000},
                           {"DENSE_SUMS", SD_DENSE_SUMS, SIZE_MAX, 4, 0x7fffffff}};
    for (size_t i = 0; i < sizeof scaled / sizeof *scaled; i++)
        refuses(f, SD_INT8, &scaled[i]);
}

/* The table says where sections are; nothing but what the spec makes is taken. */
static void tables_of_other_shapes(void **state)
{
    const fixture *f = *state;
    const size_t bytes = f->good[0].bytes;
    for (size_t at = 28; at < 32 + 24 * 10; at += 4)
        for (uint32_t add = 1; add; add = add == 1 ? 64 : add == 64 ? 0x80000000 : 0) {
            uint32_t value;
            fresh_copy(f, 0);
            memcpy(&value, f->copy + at, 4);
            value += add;
            memcpy(f->copy + at, &value, 4);
            case_sign(f->copy, bytes);
            assert_int_equal(open_copy(f, bytes), SIPDETECT_E_FORMAT);
        }
}

/* ---- where files are ---- */

static void unreadable_files(void **state)
{
    const fixture *f = *state;
    sipdetect_model *model;
    char folder[128], path[160];
    make_test_folder(folder);
    snprintf(path, sizeof path, "%s/m.sipm", folder);
    assert_sd_fails(SIPDETECT_E_IO, "No such file", sipdetect_open(&model, path, NULL));
    assert_sd_fails(SIPDETECT_E_IO, path, sipdetect_open(&model, path, NULL));
    assert_sd_fails(SIPDETECT_E_IO, "not a file", sipdetect_open(&model, folder, NULL));
    FILE *file = fopen(path, "w");
    fclose(file);
    assert_sd_fails(SIPDETECT_E_FORMAT, "empty", sipdetect_open(&model, path, NULL));
    file = fopen(path, "w");
    fwrite(f->good[0].image, 1, f->good[0].bytes / 2, file);
    fclose(file);
    assert_sd_fails(SIPDETECT_E_FORMAT, path, sipdetect_open(&model, path, NULL));
    assert_null(model);
    assert_sd_fails(SIPDETECT_E_ARGUMENT, "no path", sipdetect_open(&model, NULL, NULL));
    assert_sd_fails(SIPDETECT_E_ARGUMENT, "aligned",
                    sipdetect_open_memory(&model, (char *)f->good[0].image + 8, 64, NULL));
    assert_sd_fails(SIPDETECT_E_ARGUMENT, "no memory", sipdetect_open_memory(&model, NULL, 64, NULL));
    assert_sd_fails(SIPDETECT_E_UNSUPPORTED, "no instructions 'mmx'",
                    sipdetect_open_memory(&model, f->good[0].image, f->good[0].bytes, "mmx"));
    assert_null(model);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_open),        cmocka_unit_test(layout_is_as_documented),
        cmocka_unit_test(no_flipped_bit_passes),  cmocka_unit_test(no_cut_file_passes),
        cmocka_unit_test(other_files_are_named),  cmocka_unit_test(signed_nonsense_is_found),
        cmocka_unit_test(tables_of_other_shapes), cmocka_unit_test(unreadable_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
