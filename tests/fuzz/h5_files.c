#include "h5_files.h"

#include "base/h5_digest.h"
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES_MAX = 4, RANK_MAX = 5, EDITS_MAX = 16, BYTES_MAX = 65536 };

const char *__lsan_default_suppressions(void);

/* libhdf5 forgets memory when it refuses a file. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5\n";
}

void fuzz_expect(bool what)
{
    if (!what)
        abort();
}

bool fuzz_one_in(unsigned n, const uint8_t *data, size_t size)
{
    unsigned sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + data[i];
    return sum % n == 0;
}

/* ---- files ---- */

static char paths[FILES_MAX][256];
static size_t path_count;

static void remove_files(void)
{
    for (size_t i = 0; i < path_count; i++)
        unlink(paths[i]);
}

void fuzz_file_open(fuzz_file *file)
{
    const char *folder = getenv("TMPDIR");
    fuzz_expect(path_count < FILES_MAX);
    *file = (fuzz_file){.image = NULL};
    snprintf(file->path, sizeof file->path, "%.200s/sipgpu_fuzz_XXXXXX", folder ? folder : "/tmp");
    int fd = mkstemp(file->path);
    fuzz_expect(fd >= 0);
    close(fd);
    if (path_count == 0)
        atexit(remove_files);
    strcpy(paths[path_count++], file->path);
}

void fuzz_file_keep(fuzz_file *file)
{
    FILE *in = fopen(file->path, "rb");
    fuzz_expect(in && fseek(in, 0, SEEK_END) == 0);
    file->size = (size_t)ftell(in);
    rewind(in);
    file->image = malloc(file->size);
    fuzz_expect(fread(file->image, 1, file->size, in) == file->size);
    fclose(in);
}

/* With `digest`, one that is right goes before the data. */
static void write_file(const char *path, const void *data, size_t size, bool digest)
{
    uint8_t block[SG_H5_DIGEST_BLOCK];
    sg_h5_digest_make(block, data, size);
    FILE *out = fopen(path, "wb");
    fuzz_expect(out && (!digest || fwrite(block, sizeof block, 1, out) == 1));
    fuzz_expect(fwrite(data, 1, size, out) == size);
    fclose(out);
}

static bool has_user_block(hid_t file)
{
    hid_t plist = H5Fget_create_plist(file);
    hsize_t bytes = 0;
    H5Pget_userblock(plist, &bytes);
    H5Pclose(plist);
    return bytes > 0;
}

/* ---- the input ---- */

typedef struct {
    const uint8_t *data;
    size_t size;
} reader;

static unsigned take(reader *r)
{
    if (r->size == 0)
        return 0;
    r->size--;
    return *r->data++;
}

static uint64_t take_wide(reader *r)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | take(r);
    return value;
}

/* Fills `out` with the next bytes, over and over. */
static void take_bytes(reader *r, size_t count, uint8_t *out, size_t size)
{
    uint8_t bytes[256] = {0};
    for (size_t i = 0; i < count && i < sizeof bytes; i++)
        bytes[i] = (uint8_t)take(r);
    for (size_t i = 0; i < size; i++)
        out[i] = bytes[count ? i % count : 0];
}

static hsize_t take_size(reader *r)
{
    static const hsize_t large[] = {255,      256,        65535,      65536,      65537,
                                    1u << 26, 1ull << 31, 1ull << 32, 1ull << 62, 1ull << 63};
    unsigned n = take(r);
    return n < 240 ? n % 24 : large[n % 10];
}

/* ---- edits ---- */

static hid_t wide_integer(void)
{
    hid_t type = H5Tcopy(H5T_STD_I64LE);
    H5Tset_size(type, 16);
    H5Tset_precision(type, 128);
    return type;
}

static hid_t string_type(size_t width)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, width);
    return type;
}

/* A type to be closed; a string of variable width is told by *variable. */
static hid_t make_type(reader *r, bool *variable)
{
    const hid_t plain[] = {H5T_STD_U8LE,  H5T_STD_I8LE,  H5T_STD_U16LE,  H5T_STD_U16BE,  H5T_STD_I16LE,
                           H5T_STD_I32LE, H5T_STD_U32LE, H5T_STD_I64LE,  H5T_STD_U64LE,  H5T_IEEE_F32LE,
                           H5T_STD_I64BE, H5T_STD_B8LE,  H5T_IEEE_F64LE, H5T_IEEE_F32BE, H5T_NATIVE_LDOUBLE};
    unsigned n = take(r) % 20;
    *variable = n == 19;
    if (n < 15)
        return H5Tcopy(plain[n]);
    if (n == 15)
        return wide_integer();
    if (n == 16)
        return H5Tcreate(H5T_OPAQUE, 1 + take(r));
    if (n == 17) {
        hid_t type = H5Tcreate(H5T_COMPOUND, 8);
        H5Tinsert(type, "a", 0, H5T_STD_I32LE);
        return type;
    }
    return string_type(*variable ? H5T_VARIABLE : 1 + take(r));
}

static hid_t make_space(reader *r, int *rank, hsize_t dims[RANK_MAX])
{
    unsigned n = take(r) % (RANK_MAX + 2);
    *rank = n <= RANK_MAX ? (int)n : 0;
    for (int k = 0; k < *rank; k++)
        dims[k] = take_size(r);
    if (n > RANK_MAX)
        return H5Screate(H5S_NULL);
    return *rank ? H5Screate_simple(*rank, dims, NULL) : H5Screate(H5S_SCALAR);
}

static hid_t make_layout(reader *r, int rank, const hsize_t *dims, hid_t space)
{
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[RANK_MAX];
    unsigned n = take(r) % 6;
    for (int k = 0; k < rank; k++)
        chunk[k] = dims[k] == 0 ? 1 : dims[k] > 7 ? 7 : dims[k];
    if (n == 1)
        H5Pset_layout(plist, H5D_COMPACT);
    if ((n == 2 || n == 3) && rank)
        H5Pset_chunk(plist, rank, chunk);
    if (n == 3)
        H5Pset_deflate(plist, 1);
    if (n == 4)
        H5Pset_external(plist, "elsewhere", 0, H5F_UNLIMITED);
    if (n == 5)
        H5Pset_virtual(plist, space, "elsewhere", "/x", space);
    return plist;
}

/* The number of bytes that all values take, 0 if it is none or many. */
static size_t value_bytes(hid_t space, hid_t type)
{
    hssize_t points = H5Sget_simple_extent_npoints(space);
    size_t size = H5Tget_size(type);
    return points > 0 && points <= BYTES_MAX && size <= BYTES_MAX / (size_t)points ? (size_t)points * size
                                                                                   : 0;
}

/* Writes values to a new dataset or attribute. */
static void fill(reader *r, hid_t id, bool attribute, hid_t type, hid_t space, bool variable)
{
    size_t bytes = value_bytes(space, type);
    if (id < 0 || bytes == 0)
        return;
    uint8_t *values = calloc(1, bytes);
    char text[33] = "";
    take_bytes(r, variable ? take(r) % 33 : take(r), variable ? (uint8_t *)text : values,
               variable ? sizeof text - 1 : bytes);
    for (size_t i = 0; variable && i < bytes / sizeof(char *); i++)
        ((char **)values)[i] = text;
    if (attribute)
        H5Awrite(id, type, values);
    else
        H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    free(values);
}

static void replace_dataset(reader *r, hid_t file, const char *name)
{
    hsize_t dims[RANK_MAX];
    bool variable;
    int rank;
    hid_t type = make_type(r, &variable), space = make_space(r, &rank, dims);
    hid_t plist = make_layout(r, rank, dims, space);
    H5Ldelete(file, name, H5P_DEFAULT);
    hid_t id = H5Dcreate2(file, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    if (H5Pget_layout(plist) != H5D_VIRTUAL && H5Pget_external_count(plist) == 0)
        fill(r, id, false, type, space, variable);
    if (id >= 0)
        H5Dclose(id);
    H5Pclose(plist);
    H5Sclose(space);
    H5Tclose(type);
}

/* Other bytes in the values that are there. */
static void patch_values(reader *r, hid_t file, const char *name)
{
    hid_t id = H5Dopen2(file, name, H5P_DEFAULT);
    if (id < 0)
        return;
    hid_t type = H5Dget_type(id), space = H5Dget_space(id);
    size_t bytes = H5Tis_variable_str(type) ? 0 : value_bytes(space, type);
    size_t at = (size_t)take(r) << 8 | take(r), count = take(r) % 17;
    if (bytes > 0) {
        uint8_t *values = malloc(bytes);
        if (H5Dread(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0) {
            at %= bytes;
            take_bytes(r, count, values + at, count < bytes - at ? count : bytes - at);
            H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
        }
        free(values);
    }
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(id);
}

static void replace_attribute(reader *r, hid_t file, const char *object, const char *name)
{
    hsize_t dims[RANK_MAX];
    bool variable;
    int rank;
    hid_t type = make_type(r, &variable);
    hid_t space = take(r) % 4 ? H5Screate(H5S_SCALAR) : make_space(r, &rank, dims);
    H5Adelete_by_name(file, object, name, H5P_DEFAULT);
    hid_t id = H5Acreate_by_name(file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    fill(r, id, true, type, space, variable);
    if (id >= 0)
        H5Aclose(id);
    H5Sclose(space);
    H5Tclose(type);
}

static void replace_number(reader *r, hid_t file, const char *object, const char *name)
{
    bool real = take(r) & 1;
    uint64_t value = take_wide(r);
    hid_t space = H5Screate(H5S_SCALAR), type = real ? H5T_IEEE_F64LE : H5T_STD_I64LE;
    H5Adelete_by_name(file, object, name, H5P_DEFAULT);
    hid_t id = H5Acreate_by_name(file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (id >= 0) {
        H5Awrite(id, type, &value);
        H5Aclose(id);
    }
    H5Sclose(space);
}

static void replace_by_link(reader *r, hid_t file, const char *name, const char *other)
{
    unsigned kind = take(r) % 5;
    H5Ldelete(file, name, H5P_DEFAULT);
    if (kind == 0)
        H5Lcreate_soft(other, file, name, H5P_DEFAULT, H5P_DEFAULT);
    else if (kind == 1)
        H5Lcreate_external("elsewhere", other, file, name, H5P_DEFAULT, H5P_DEFAULT);
    else if (kind == 2)
        H5Lcreate_hard(file, other, file, name, H5P_DEFAULT, H5P_DEFAULT);
    else if (kind == 3)
        H5Gclose(H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

/* The name of an attribute of an object, by its number. */
static bool attribute_name(hid_t file, const char *object, unsigned n, char name[64])
{
    H5O_info_t info;
    if (H5Oget_info_by_name(file, object, &info, H5P_DEFAULT) < 0 || info.num_attrs == 0)
        return false;
    return H5Aget_name_by_idx(file, object, H5_INDEX_NAME, H5_ITER_INC, n % info.num_attrs, name, 64,
                              H5P_DEFAULT) > 0;
}

static void edit(reader *r, hid_t file, const char *const *objects, size_t count)
{
    unsigned what = take(r) % 8;
    const char *object = objects[take(r) % count];
    char name[64];
    if (what < 2)
        patch_values(r, file, object);
    else if (what == 2)
        replace_dataset(r, file, object);
    else if (what == 3)
        replace_by_link(r, file, object, objects[take(r) % count]);
    else if (!attribute_name(file, object, take(r), name))
        return;
    else if (what == 4)
        H5Adelete_by_name(file, object, name, H5P_DEFAULT);
    else if (what == 5)
        replace_attribute(r, file, object, name);
    else
        replace_number(r, file, object, name);
}

void fuzz_file_edit(const fuzz_file *file, const char *const *objects, size_t count, const uint8_t *data,
                    size_t size)
{
    reader r = {data, size};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5Pset_fapl_core(access, BYTES_MAX, 0);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    H5Pset_file_image(access, file->image, file->size);
    hid_t id = H5Fopen("edited", H5F_ACC_RDWR, access);
    H5Pclose(access);
    fuzz_expect(id >= 0);
    for (int i = 0; i < EDITS_MAX && r.size > 0; i++)
        edit(&r, id, objects, count);
    H5Fflush(id, H5F_SCOPE_GLOBAL);
    ssize_t bytes = H5Fget_file_image(id, NULL, 0);
    fuzz_expect(bytes > 0);
    void *image = malloc((size_t)bytes);
    fuzz_expect(H5Fget_file_image(id, image, (size_t)bytes) == bytes);
    bool digest = has_user_block(id);
    H5Fclose(id);
    write_file(file->path, image, (size_t)bytes, digest);
    free(image);
}

/* ---- the good corpus ---- */

void fuzz_small_corpus(sg_corpus *corpus)
{
    static char *alphabet[] = {"INVITE", "ACK", "200", "404"};
    static char *call_ids[] = {"a@h", "b@h", "c@h", "d@h", "e@h", "f@h"};
    static uint16_t sequences[] = {1, 3, 2, 0, 1, 4, 2, 0, 1, 1, 1, 4}, lengths[] = {3, 3, 4};
    static int64_t counts[] = {3, 2, 1};
    static int32_t labels[] = {0, 1, 0, 2, 1, 0}, agents[] = {0, 0, 1, 1, 2, 0};
    static double times[] = {1, 2, 3, 4, 5, 6};
    static uint8_t split[] = {0, 0, 1, 0, 2, 2};
    *corpus = (sg_corpus){.message_types = 4,
                          .max_length = 4,
                          .classes = 3,
                          .dialogs = 6,
                          .alphabet = alphabet,
                          .source = "fuzz",
                          .type_rule = "paper/1",
                          .label = labels,
                          .user_agent = agents,
                          .start_time = times,
                          .call_id = call_ids,
                          .class_sequence = sequences,
                          .class_length = lengths,
                          .class_count = counts,
                          .split = split,
                          .split_seed = 1};
}
