#include "corpus_case.h"

#include <hdf5.h>
#include <unistd.h>

static void reads_what_it_writes(void **state)
{
    (void)state;
    for (int call_ids = 0; call_ids < 2; call_ids++) {
        sg_corpus a, b;
        make_case(&a, call_ids);
        assert_ok(sg_corpus_write(&a, case_path, "test 1"));
        assert_ok(sg_corpus_read(&b, case_path));
        assert_same_corpus(&a, &b);
        sg_corpus_free(&a);
        sg_corpus_free(&b);
    }
}

/* More than 255 types are stored as u16, and rows beyond one block are read and written too. */
static void reads_wide_and_long_corpora(void **state)
{
    (void)state;
    enum { TYPES = 300, D = 70000, L = 40 };
    sg_corpus a = {.message_types = TYPES, .max_length = L, .classes = TYPES, .dialogs = D}, b;
    assert_ok(sg_alloc(&a.alphabet, TYPES, "test"));
    assert_ok(sg_alloc(&a.label, D, "test"));
    assert_ok(sg_alloc(&a.user_agent, D, "test"));
    assert_ok(sg_alloc(&a.start_time, D, "test"));
    assert_ok(sg_alloc(&a.split, D, "test"));
    assert_ok(sg_alloc(&a.class_sequence, TYPES * L, "test"));
    assert_ok(sg_alloc(&a.class_length, TYPES, "test"));
    assert_ok(sg_alloc(&a.class_count, TYPES, "test"));
    for (int c = 0; c < TYPES; c++) {
        char name[16];
        snprintf(name, sizeof name, "T%d", c);
        a.alphabet[c] = strdup(name);
        a.class_length[c] = (uint16_t)(1 + c % L);
        for (int t = 0; t < a.class_length[c]; t++)
            a.class_sequence[c * L + t] = (uint16_t)(c + 1);
    }
    for (int d = 0; d < D; d++)
        a.class_count[a.label[d] = (d * 7) % TYPES]++;
    sg_corpus_digest(&a);
    assert_ok(sg_corpus_write(&a, case_path, "test 1"));
    assert_ok(sg_corpus_read(&b, case_path));
    assert_same_corpus(&a, &b);
    sg_corpus_free(&a);
    sg_corpus_free(&b);
}

static void lists_rows_of_a_split(void **state)
{
    (void)state;
    sg_corpus corpus;
    int64_t *rows, count;
    make_case(&corpus, false);
    assert_ok(sg_corpus_rows(&corpus, SG_SPLIT_VALIDATION, &rows, &count));
    assert_int_equal(count, 2);
    assert_int_equal(rows[0], 3);
    assert_int_equal(rows[1], 4);
    free(rows);
    sg_corpus_free(&corpus);
    assert_string_equal(sg_split_name(SG_SPLIT_TEST), "test");
}

static void digests_what_matters(void **state)
{
    (void)state;
    sg_corpus a, b;
    make_case(&a, false);
    make_case(&b, true);
    assert_string_equal(a.digest, b.digest); /* Call-IDs do not change what is learnt */
    b.split[0] = SG_SPLIT_TEST;
    sg_corpus_digest(&b);
    assert_string_not_equal(a.digest, b.digest);
    b.split[0] = SG_SPLIT_TRAIN;
    strcpy(b.alphabet[0], "INVITF");
    sg_corpus_digest(&b);
    assert_string_not_equal(a.digest, b.digest);
    sg_corpus_free(&a);
    sg_corpus_free(&b);
}

/* ---- files that are not what they should be ---- */

/* Sets value `row` of a dataset, counted over all its elements. */
static void poke(hid_t file, const char *name, hsize_t row, double value)
{
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(dataset);
    hsize_t dims[2] = {1, 1}, at[2], one = 1;
    int rank = H5Sget_simple_extent_dims(space, dims, NULL);
    at[0] = rank == 2 ? row / dims[1] : row;
    at[1] = rank == 2 ? row % dims[1] : 0;
    assert_true(H5Sselect_elements(space, H5S_SELECT_SET, 1, at) >= 0);
    hid_t memory = H5Screate_simple(1, &one, NULL);
    assert_true(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, &value) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(dataset);
}

/* Replaces a dataset by one of zeros of another shape and type. */
static void reshape(hid_t file, const char *name, hid_t type, int rank, hsize_t a, hsize_t b)
{
    hsize_t dims[2] = {a, b};
    assert_true(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
    hid_t space = H5Screate_simple(rank, dims, NULL), plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_alloc_time(plist, H5D_ALLOC_TIME_EARLY);
    hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    assert_true(dataset >= 0);
    H5Dclose(dataset);
    H5Pclose(plist);
    H5Sclose(space);
}

static void set_attribute(hid_t file, const char *name, int64_t value)
{
    hid_t a = H5Aopen(file, name, H5P_DEFAULT);
    assert_true(H5Awrite(a, H5T_NATIVE_INT64, &value) >= 0);
    H5Aclose(a);
}

static void other_version(hid_t f)
{
    set_attribute(f, "version", 2);
}
static void no_format(hid_t f)
{
    H5Adelete(f, "format");
}
static void no_classes(hid_t f)
{
    set_attribute(f, "num_classes", 0);
}
static void too_many_classes(hid_t f)
{
    set_attribute(f, "num_classes", (int64_t)1 << 40);
}
static void more_classes(hid_t f)
{
    set_attribute(f, "num_classes", CASE_CLASSES + 1);
}
static void longer(hid_t f)
{
    set_attribute(f, "max_length", CASE_LENGTH + 1);
}
static void no_length(hid_t f)
{
    set_attribute(f, "max_length", 0);
}
static void token_beyond_alphabet(hid_t f)
{
    poke(f, "/classes/sequence", 0, CASE_TYPES + 1);
}
static void dialog_token_beyond_alphabet(hid_t f)
{
    poke(f, "/dialogs/sequence", 2 * CASE_LENGTH, CASE_TYPES + 1);
}
static void class_length_beyond(hid_t f)
{
    poke(f, "/classes/length", 0, CASE_LENGTH + 1);
}
static void class_length_zero(hid_t f)
{
    poke(f, "/classes/length", 1, 0);
}
static void dialog_length_beyond(hid_t f)
{
    poke(f, "/dialogs/length", 3, CASE_LENGTH + 1);
}
static void class_padding(hid_t f)
{
    poke(f, "/classes/length", 1, 4);
}
static void class_token_after_padding(hid_t f)
{
    poke(f, "/classes/sequence", CASE_LENGTH - 1, 1);
}
static void dialog_padding(hid_t f)
{
    poke(f, "/dialogs/length", 5, 3);
}
static void dialog_of_other_class(hid_t f)
{
    poke(f, "/dialogs/sequence", 2 * CASE_LENGTH, 1);
}
static void label_beyond(hid_t f)
{
    poke(f, "/dialogs/label", 6, CASE_CLASSES);
}
static void label_negative(hid_t f)
{
    poke(f, "/dialogs/label", 6, -1);
}
static void label_of_other_class(hid_t f)
{
    poke(f, "/dialogs/label", 6, 1);
}
static void count_differs(hid_t f)
{
    poke(f, "/classes/count", 2, 2);
}
static void twice_the_same_class(hid_t f)
{
    poke(f, "/classes/sequence", CASE_LENGTH + 0, 3);
    poke(f, "/classes/sequence", CASE_LENGTH + 2, 0);
    poke(f, "/classes/length", 1, 2);
}
static void split_beyond(hid_t f)
{
    poke(f, "/split", 0, 3);
}
static void agent_negative(hid_t f)
{
    poke(f, "/dialogs/user_agent", 1, -1);
}
static void time_infinite(hid_t f)
{
    poke(f, "/dialogs/start_time", 4, INFINITY);
}
static void no_seed(hid_t f)
{
    H5Adelete_by_name(f, "/split", "seed", H5P_DEFAULT);
}
static void split_of_other_size(hid_t f)
{
    reshape(f, "/split", H5T_STD_U8LE, 1, CASE_DIALOGS + 1, 0);
}
static void label_of_rank_two(hid_t f)
{
    reshape(f, "/dialogs/label", H5T_STD_I32LE, 2, CASE_DIALOGS, 1);
}
static void label_of_reals(hid_t f)
{
    reshape(f, "/dialogs/label", H5T_IEEE_F32LE, 1, CASE_DIALOGS, 0);
}
static void no_dialogs(hid_t f)
{
    reshape(f, "/dialogs/label", H5T_STD_I32LE, 1, 0, 0);
}
static void times_of_integers(hid_t f)
{
    reshape(f, "/dialogs/start_time", H5T_STD_I64LE, 1, CASE_DIALOGS, 0);
}
static void sequence_of_signed(hid_t f)
{
    reshape(f, "/dialogs/sequence", H5T_STD_I16LE, 2, CASE_DIALOGS, CASE_LENGTH);
}
static void fewer_sequences(hid_t f)
{
    reshape(f, "/dialogs/sequence", H5T_STD_U8LE, 2, CASE_DIALOGS - 1, CASE_LENGTH);
}
static void no_sequences(hid_t f)
{
    H5Ldelete(f, "/dialogs/sequence", H5P_DEFAULT);
}
static void soft_link(hid_t f)
{
    H5Lmove(f, "/split", f, "/elsewhere", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/elsewhere", f, "/split", H5P_DEFAULT, H5P_DEFAULT);
}
static void external_link(hid_t f)
{
    H5Ldelete(f, "/split", H5P_DEFAULT);
    H5Lcreate_external("other.h5", "/split", f, "/split", H5P_DEFAULT, H5P_DEFAULT);
}
static void soft_group(hid_t f)
{
    H5Lmove(f, "/dialogs", f, "/elsewhere", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/elsewhere", f, "/dialogs", H5P_DEFAULT, H5P_DEFAULT);
}

/* Declares two thousand million dialogs without holding a byte of them. */
static void hollow_labels(hid_t f)
{
    hsize_t dims = 2000000000, chunk = 1 << 20;
    H5Ldelete(f, "/dialogs/label", H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, &dims, NULL), plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(plist, 1, &chunk);
    H5Dclose(H5Dcreate2(f, "/dialogs/label", H5T_STD_I32LE, space, H5P_DEFAULT, plist, H5P_DEFAULT));
    H5Pclose(plist);
    H5Sclose(space);
}

static void alphabet_of(hid_t f, const char *second)
{
    const char *names[CASE_TYPES] = {"INVITE", second, "OPTIONS", "200"};
    hsize_t dims = CASE_TYPES;
    H5Ldelete(f, "/alphabet", H5P_DEFAULT);
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &dims, NULL);
    H5Tset_size(type, H5T_VARIABLE);
    hid_t dataset = H5Dcreate2(f, "/alphabet", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, names);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Tclose(type);
}
static void alphabet_twice(hid_t f)
{
    alphabet_of(f, "200");
}
static void alphabet_unprintable(hid_t f)
{
    alphabet_of(f, "A\033[K");
}
static void alphabet_with_space(hid_t f)
{
    alphabet_of(f, "A B");
}
static void alphabet_empty_name(hid_t f)
{
    alphabet_of(f, "");
}
static void alphabet_smaller(hid_t f)
{
    reshape(f, "/alphabet", H5T_C_S1, 1, 0, 0);
}

static const struct {
    void (*damage)(hid_t file);
    const char *part; /* of the message */
} cases[] = {
    {other_version, "version 2"},
    {no_format, "format"},
    {no_classes, "num_classes = 0"},
    {too_many_classes, "num_classes"},
    {more_classes, "/classes/sequence has size 3 in dimension 0, expected 4"},
    {longer, "/classes/sequence has size 5 in dimension 1, expected 6"},
    {no_length, "max_length = 0"},
    {token_beyond_alphabet, "/classes/sequence row 0 holds type 5, the alphabet has 4"},
    {dialog_token_beyond_alphabet, "/dialogs/sequence row 2 holds type 5, the alphabet has 4"},
    {class_length_beyond, "/classes/length row 0 is 6, must be from 1 to 5"},
    {class_length_zero, "/classes/length row 1 is 0, must be from 1 to 5"},
    {dialog_length_beyond, "/dialogs/length row 3 is 6, must be from 1 to 5"},
    {class_padding, "/classes/sequence row 1: the padding disagrees with the length 4"},
    {class_token_after_padding, "/classes/sequence row 0: the padding disagrees with the length 2"},
    {dialog_padding, "/dialogs/sequence row 5: the padding disagrees with the length 3"},
    {dialog_of_other_class, "/dialogs/sequence row 2 differs from its class 0"},
    {label_beyond, "/dialogs/label row 6 is 3, must be from 0 to 2"},
    {label_negative, "/dialogs/label row 6 is -1"},
    {label_of_other_class, "/classes/count row 0 is 4, the labels say 3"},
    {count_differs, "/classes/count row 2 is 2, the labels say 1"},
    {twice_the_same_class, "/classes/sequence rows 0 and 1 are equal"},
    {split_beyond, "/split row 0 is 3"},
    {agent_negative, "/dialogs/user_agent row 1 is negative"},
    {time_infinite, "/dialogs/start_time row 4 is not finite"},
    {no_seed, "seed of /split is missing"},
    {split_of_other_size, "/split has size 8 in dimension 0, expected 7"},
    {label_of_rank_two, "/dialogs/label has 2 dimensions, expected 1"},
    {label_of_reals, "/dialogs/label has the wrong type"},
    {no_dialogs, "0 dialogs"},
    {times_of_integers, "/dialogs/start_time has the wrong type"},
    {sequence_of_signed, "/dialogs/sequence has the wrong type"},
    {fewer_sequences, "/dialogs/sequence has size 6"},
    {no_sequences, "dataset /dialogs/sequence is missing"},
    {soft_link, "dataset /split is missing (links are not followed)"},
    {external_link, "dataset /split is missing (links are not followed)"},
    {soft_group, "links are not followed"},
    {hollow_labels, "does not hold"},
    {alphabet_twice, "/alphabet holds 200 twice"},
    {alphabet_unprintable, "/alphabet row 1 is not a printable name"},
    {alphabet_with_space, "/alphabet row 1 is not a printable name"},
    {alphabet_empty_name, "string 1 of /alphabet is empty"},
    {alphabet_smaller, "/alphabet is empty"},
};

static void refuses_damaged_files(void **state)
{
    (void)state;
    sg_corpus good, corpus;
    make_case(&good, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(sg_corpus_write(&good, case_path, "test 1"));
        hid_t file = H5Fopen(case_path, H5F_ACC_RDWR, H5P_DEFAULT);
        assert_true(file >= 0);
        cases[i].damage(file);
        H5Fclose(file);
        assert_fails(SG_E_FORMAT, cases[i].part, sg_corpus_read(&corpus, case_path));
        assert_memory_equal(sg_error_text(), case_path, strlen(case_path));
        assert_null(corpus.label);
    }
    sg_corpus_free(&good);
}

/* Wherever a file is cut off, reading ends with an error. */
static void refuses_cut_files(void **state)
{
    (void)state;
    sg_corpus good, corpus;
    char *image, cut[SG_PATH_MAX];
    size_t size;
    make_case(&good, true);
    assert_ok(sg_corpus_write(&good, case_path, "test 1"));
    assert_ok(sg_file_read(case_path, 1 << 24, &image, &size));
    assert_ok(sg_path_join(cut, case_folder, "cut.h5"));
    for (int step = 0; step < 200; step++) {
        FILE *f = fopen(cut, "wb");
        fwrite(image, 1, size * (size_t)step / 200, f);
        fclose(f);
        assert_int_equal(sg_corpus_read(&corpus, cut), SG_E_FORMAT);
    }
    free(image);
    sg_corpus_free(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(reads_what_it_writes),         IN_FOLDER(reads_wide_and_long_corpora),
        cmocka_unit_test(lists_rows_of_a_split), cmocka_unit_test(digests_what_matters),
        IN_FOLDER(refuses_damaged_files),        IN_FOLDER(refuses_cut_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
