#include "base/h5.h"

#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES   ((int64_t)1 << 20)
#define DEFLATE_LEVEL 4

/* Strings of a fixed width are read and written in blocks of about this size. */
enum { TEXT_WIDTH_MAX = 65536, TEXT_BLOCK_BYTES = 1 << 22 };

/* ---- finding things by hard links ---- */

bool sg_h5_has(const sg_h5 *file, const char *name)
{
    char part[256];
    if (strcmp(name, "/") == 0)
        return true;
    if (strlen(name) >= sizeof part)
        return false;
    for (const char *p = name + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        size_t n = (size_t)(p - name);
        memcpy(part, name, n);
        part[n] = '\0';
        H5L_info_t info;
        if (H5Lexists(file->id, part, H5P_DEFAULT) <= 0 ||
            H5Lget_info(file->id, part, &info, H5P_DEFAULT) < 0 || info.type != H5L_TYPE_HARD)
            return false;
        if (*p == '\0')
            return true;
    }
}

static bool type_fits(hid_t stored, hid_t memory)
{
    H5T_class_t class = H5Tget_class(stored);
    if (class != H5Tget_class(memory))
        return false;
    if (class == H5T_FLOAT)
        return H5Tget_size(stored) <= 8;
    if (class != H5T_INTEGER)
        return true;
    size_t have = H5Tget_size(stored), room = H5Tget_size(memory);
    if (H5Tget_sign(stored) == H5Tget_sign(memory))
        return have <= room;
    return H5Tget_sign(stored) == H5T_SGN_NONE && have < room;
}

/* Deflate packs at most about 1032 : 1.  A file that declares more values than its bytes can hold is refused
 * before memory for them is taken. */
#define PACKING_MAX 1100

static sg_status check_bytes(const sg_h5 *file, const char *name, hid_t dataset, size_t size, int rank,
                             const hsize_t *sizes)
{
    double bytes = (double)size;
    for (int k = 0; k < rank; k++)
        bytes *= (double)sizes[k];
    if (bytes > ((double)H5Dget_storage_size(dataset) + 4096) * PACKING_MAX)
        return sg_fail(SG_E_FORMAT, "%s: %s declares %.3g bytes that the file does not hold", file->path,
                       name, bytes);
    return SG_OK;
}

static sg_status check_dataset(const sg_h5 *file, const char *name, hid_t dataset, hid_t memory_type,
                               int rank, const int64_t *want, int64_t *dims)
{
    hid_t plist = H5Dget_create_plist(dataset), type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    bool foreign = H5Pget_external_count(plist) > 0 || H5Pget_layout(plist) == H5D_VIRTUAL;
    bool fits = type_fits(type, memory_type);
    size_t size = H5Tget_size(type);
    int have = H5Sget_simple_extent_ndims(space);
    hsize_t sizes[SG_H5_RANK_MAX] = {0};
    if (have >= 0 && have <= SG_H5_RANK_MAX)
        H5Sget_simple_extent_dims(space, sizes, NULL);
    H5Sclose(space);
    H5Tclose(type);
    H5Pclose(plist);
    if (foreign)
        return sg_fail(SG_E_FORMAT, "%s: %s is stored outside the file", file->path, name);
    if (have != rank)
        return sg_fail(SG_E_FORMAT, "%s: %s has %d dimensions, %d are wanted", file->path, name, have, rank);
    if (!fits)
        return sg_fail(SG_E_FORMAT, "%s: %s has the wrong type", file->path, name);
    for (int k = 0; k < rank; k++) {
        if (sizes[k] > INT64_MAX / 2)
            return sg_fail(SG_E_FORMAT, "%s: %s is too large", file->path, name);
        if (want && want[k] >= 0 && (int64_t)sizes[k] != want[k])
            return sg_fail(SG_E_FORMAT, "%s: %s has size %lld in dimension %d, %lld is wanted", file->path,
                           name, (long long)sizes[k], k, (long long)want[k]);
        if (dims)
            dims[k] = (int64_t)sizes[k];
    }
    return check_bytes(file, name, dataset, size, rank, sizes);
}

sg_status sg_h5_dataset(const sg_h5 *file, const char *name, hid_t memory_type, int rank, const int64_t *want,
                        int64_t *dims, hid_t *dataset)
{
    *dataset = H5I_INVALID_HID;
    if (!sg_h5_has(file, name))
        return sg_fail(SG_E_FORMAT, "%s: there is no dataset %s (links are not followed)", file->path, name);
    hid_t id = H5Dopen2(file->id, name, H5P_DEFAULT);
    if (id < 0)
        return sg_fail(SG_E_FORMAT, "%s: %s is no dataset", file->path, name);
    sg_status status = check_dataset(file, name, id, memory_type, rank, want, dims);
    if (status != SG_OK)
        H5Dclose(id);
    else
        *dataset = id;
    return status;
}

/* ---- reading ---- */

/* Selects rows [first, first + count) in the file and makes a memory space of the same shape. */
static void select_rows(hid_t dataset, int64_t first, int64_t count, hid_t *file_space, hid_t *memory_space)
{
    hsize_t dims[SG_H5_RANK_MAX], start[SG_H5_RANK_MAX] = {0};
    *file_space = H5Dget_space(dataset);
    int rank = H5Sget_simple_extent_dims(*file_space, dims, NULL);
    if (rank <= 0) {
        *memory_space = H5Screate(H5S_SCALAR);
        return;
    }
    start[0] = (hsize_t)first;
    dims[0] = (hsize_t)count;
    H5Sselect_hyperslab(*file_space, H5S_SELECT_SET, start, NULL, dims, NULL);
    *memory_space = H5Screate_simple(rank, dims, NULL);
}

sg_status sg_h5_read_rows(const sg_h5 *file, hid_t dataset, const char *name, hid_t memory_type,
                          int64_t first, int64_t count, void *out)
{
    hid_t file_space, memory_space;
    select_rows(dataset, first, count, &file_space, &memory_space);
    herr_t result = H5Dread(dataset, memory_type, memory_space, file_space, H5P_DEFAULT, out);
    H5Sclose(memory_space);
    H5Sclose(file_space);
    if (result < 0)
        return sg_fail(SG_E_FORMAT, "%s: %s cannot be read (damaged or cut off)", file->path, name);
    return SG_OK;
}

sg_status sg_h5_read(const sg_h5 *file, const char *name, hid_t memory_type, int rank, const int64_t *want,
                     void *out)
{
    hid_t dataset;
    SG_TRY(sg_h5_dataset(file, name, memory_type, rank, want, NULL, &dataset));
    sg_status status = sg_h5_read_rows(file, dataset, name, memory_type, 0, rank ? want[0] : 1, out);
    H5Dclose(dataset);
    return status;
}

/* Opens an attribute whose type has class `class` and which holds one value. */
static sg_status open_attribute(const sg_h5 *file, const char *object, const char *name, H5T_class_t class,
                                hid_t *out)
{
    if (!sg_h5_has_attribute(file, object, name))
        return sg_fail(SG_E_FORMAT, "%s: the attribute %s of %s is missing", file->path, name, object);
    hid_t id = H5Aopen_by_name(file->id, object, name, H5P_DEFAULT, H5P_DEFAULT);
    if (id < 0)
        return sg_fail(SG_E_FORMAT, "%s: the attribute %s of %s cannot be read", file->path, name, object);
    hid_t type = H5Aget_type(id), space = H5Aget_space(id);
    bool good = H5Tget_class(type) == class && H5Sget_simple_extent_npoints(space) == 1;
    H5Sclose(space);
    H5Tclose(type);
    if (!good) {
        H5Aclose(id);
        return sg_fail(SG_E_FORMAT, "%s: the attribute %s of %s has the wrong type", file->path, name,
                       object);
    }
    *out = id;
    return SG_OK;
}

bool sg_h5_has_attribute(const sg_h5 *file, const char *object, const char *name)
{
    return sg_h5_has(file, object) && H5Aexists_by_name(file->id, object, name, H5P_DEFAULT) > 0;
}

sg_status sg_h5_get_int(const sg_h5 *file, const char *object, const char *name, int64_t min, int64_t max,
                        int64_t *value)
{
    hid_t id;
    SG_TRY(open_attribute(file, object, name, H5T_INTEGER, &id));
    herr_t result = H5Aread(id, H5T_NATIVE_INT64, value);
    H5Aclose(id);
    if (result < 0)
        return sg_fail(SG_E_FORMAT, "%s: the attribute %s of %s cannot be read", file->path, name, object);
    if (*value < min || *value > max)
        return sg_fail(SG_E_FORMAT, "%s: %s = %lld, must be from %lld to %lld", file->path, name,
                       (long long)*value, (long long)min, (long long)max);
    return SG_OK;
}

sg_status sg_h5_get_real(const sg_h5 *file, const char *object, const char *name, double *value)
{
    hid_t id;
    SG_TRY(open_attribute(file, object, name, H5T_FLOAT, &id));
    herr_t result = H5Aread(id, H5T_NATIVE_DOUBLE, value);
    H5Aclose(id);
    if (result < 0)
        return sg_fail(SG_E_FORMAT, "%s: the attribute %s of %s cannot be read", file->path, name, object);
    return SG_OK;
}

sg_status sg_h5_get_text(const sg_h5 *file, const char *object, const char *name, char *text, size_t size)
{
    hid_t id;
    SG_TRY(open_attribute(file, object, name, H5T_STRING, &id));
    hid_t type = H5Aget_type(id);
    bool variable = H5Tis_variable_str(type) > 0, fits = true, read = false;
    size_t length = H5Tget_size(type);
    if (variable) {
        char *value = NULL;
        hid_t memory = H5Tcopy(H5T_C_S1);
        H5Tset_size(memory, H5T_VARIABLE);
        H5Tset_cset(memory, H5Tget_cset(type));
        read = H5Aread(id, memory, &value) >= 0;
        fits = read && (!value || strlen(value) < size);
        if (read && fits)
            strcpy(text, value ? value : "");
        if (value)
            H5free_memory(value);
        H5Tclose(memory);
    } else if ((fits = length < size)) {
        memset(text, 0, size);
        read = H5Aread(id, type, text) >= 0;
    }
    H5Tclose(type);
    H5Aclose(id);
    if (!fits)
        return sg_fail(SG_E_FORMAT, "%s: the attribute %s of %s is too long", file->path, name, object);
    if (!read)
        return sg_fail(SG_E_FORMAT, "%s: the attribute %s of %s cannot be read", file->path, name, object);
    return SG_OK;
}

sg_status sg_h5_check_format(const sg_h5 *file, const char *format, int64_t version_max)
{
    char text[64];
    int64_t version;
    if (!sg_h5_has_attribute(file, "/", "format"))
        return sg_fail(SG_E_FORMAT, "%s: not a %s file (the root attribute format is missing)", file->path,
                       format);
    SG_TRY(sg_h5_get_text(file, "/", "format", text, sizeof text));
    if (strcmp(text, format) != 0)
        return sg_fail(SG_E_FORMAT, "%s: format is '%s', '%s' is wanted", file->path, text, format);
    SG_TRY(sg_h5_get_int(file, "/", "version", INT64_MIN, INT64_MAX, &version));
    if (version < 1 || version > version_max)
        return sg_fail(SG_E_FORMAT, "%s: %s version %lld; this program reads 1 to %lld", file->path, format,
                       (long long)version, (long long)version_max);
    return SG_OK;
}

/* ---- strings ---- */

/* Copies `n` raw strings (pointers when variable, else fields of `width` bytes) to texts[first...]. */
static sg_status copy_texts(const sg_h5 *file, const char *name, const void *raw, bool variable, size_t width,
                            int64_t first, int64_t n, size_t longest, char **texts)
{
    for (int64_t i = 0; i < n; i++) {
        const char *s = variable ? ((char *const *)raw)[i] : (const char *)raw + (size_t)i * width;
        size_t length = !s ? 0 : variable ? strnlen(s, longest + 1) : strnlen(s, width);
        if (length == 0 || length > longest)
            return sg_fail(SG_E_FORMAT, "%s: string %lld of %s is %s", file->path, (long long)(first + i),
                           name, length ? "too long" : "empty");
        texts[first + i] = strndup(s, length);
        if (!texts[first + i])
            return sg_fail(SG_E_MEMORY, "%s: out of memory", file->path);
    }
    return SG_OK;
}

static sg_status read_text_data(const sg_h5 *file, const char *name, hid_t dataset, hid_t type, int64_t n,
                                size_t longest, char **texts)
{
    bool variable = H5Tis_variable_str(type) > 0;
    size_t width = H5Tget_size(type);
    if (!variable && width > TEXT_WIDTH_MAX)
        return sg_fail(SG_E_FORMAT, "%s: strings of %s are too long", file->path, name);
    int64_t rows = variable ? n : TEXT_BLOCK_BYTES / (int64_t)width;
    void *raw;
    SG_TRY(sg_alloc_bytes(&raw, (size_t)(rows < n ? rows : n), width, name));
    sg_status status = SG_OK;
    for (int64_t first = 0; first < n && status == SG_OK; first += rows) {
        int64_t count = n - first < rows ? n - first : rows;
        status = sg_h5_read_rows(file, dataset, name, type, first, count, raw);
        if (status != SG_OK)
            break;
        status = copy_texts(file, name, raw, variable, width, first, count, longest, texts);
        if (variable) {
            hid_t space = H5Dget_space(dataset);
            H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw);
            H5Sclose(space);
        }
    }
    free(raw);
    return status;
}

sg_status sg_h5_read_texts(const sg_h5 *file, const char *name, int64_t want, int64_t count_max,
                           size_t longest, char ***texts, int64_t *count)
{
    hid_t dataset;
    *texts = NULL;
    *count = 0;
    SG_TRY(sg_h5_dataset(file, name, H5T_C_S1, 1, &want, count, &dataset));
    hid_t type = H5Dget_type(dataset);
    sg_status status = *count > count_max ? sg_fail(SG_E_FORMAT, "%s: %s has more than %lld strings",
                                                    file->path, name, (long long)count_max)
                                          : sg_alloc(texts, *count, name);
    if (status == SG_OK && *count > 0)
        status = read_text_data(file, name, dataset, type, *count, longest, *texts);
    H5Tclose(type);
    H5Dclose(dataset);
    if (status != SG_OK) {
        sg_h5_free_texts(*texts, *count);
        *texts = NULL;
    }
    return status;
}

void sg_h5_free_texts(char **texts, int64_t count)
{
    for (int64_t i = 0; texts && i < count; i++)
        free(texts[i]);
    free(texts);
}

/* ---- writing ---- */

static sg_status set_attribute(sg_h5 *file, const char *object, const char *name, hid_t stored, hid_t memory,
                               const void *value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t id =
        H5Acreate_by_name(file->id, object, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    herr_t result = id < 0 ? -1 : H5Awrite(id, memory, value);
    if (id >= 0)
        H5Aclose(id);
    H5Sclose(space);
    if (result < 0)
        return sg_fail(SG_E_INTERNAL, "%s: cannot set the attribute %s of %s", file->path, name, object);
    return SG_OK;
}

sg_status sg_h5_set_int(sg_h5 *file, const char *object, const char *name, int64_t value)
{
    return set_attribute(file, object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

sg_status sg_h5_set_real(sg_h5 *file, const char *object, const char *name, double value)
{
    return set_attribute(file, object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

/* Strings are stored with a fixed width: libhdf5 does not check the heap that holds variable-length ones, and
 * crashes on a damaged file. */
static hid_t text_type(size_t width)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, width ? width : 1);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

sg_status sg_h5_set_text(sg_h5 *file, const char *object, const char *name, const char *text)
{
    hid_t type = text_type(strlen(text));
    sg_status status = set_attribute(file, object, name, type, type, text);
    H5Tclose(type);
    return status;
}

sg_status sg_h5_make_group(sg_h5 *file, const char *name)
{
    hid_t id = H5Gcreate2(file->id, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (id < 0)
        return sg_fail(SG_E_INTERNAL, "%s: cannot create %s", file->path, name);
    H5Gclose(id);
    return SG_OK;
}

sg_status sg_h5_create_dataset(sg_h5 *file, const char *name, hid_t file_type, int rank, const int64_t *dims,
                               bool compress, hid_t *dataset)
{
    hsize_t sizes[SG_H5_RANK_MAX], chunk[SG_H5_RANK_MAX];
    int64_t row_bytes = (int64_t)H5Tget_size(file_type), total = 1;
    for (int k = 0; k < rank; k++) {
        sizes[k] = chunk[k] = (hsize_t)dims[k];
        total *= dims[k];
        row_bytes *= k ? dims[k] : 1;
    }
    hid_t links = H5Pcreate(H5P_LINK_CREATE), plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    H5Pset_obj_track_times(plist, false); /* the same content gives the same bytes */
    if (compress && rank > 0 && total > 0) {
        int64_t rows = CHUNK_BYTES / (row_bytes > 0 ? row_bytes : 1);
        rows = rows < 1 ? 1 : rows;
        chunk[0] = (hsize_t)(rows < dims[0] ? rows : dims[0]);
        H5Pset_chunk(plist, rank, chunk);
        H5Pset_shuffle(plist);
        H5Pset_deflate(plist, DEFLATE_LEVEL);
        H5Pset_fletcher32(plist);
    }
    hid_t space = rank ? H5Screate_simple(rank, sizes, NULL) : H5Screate(H5S_SCALAR);
    *dataset = H5Dcreate2(file->id, name, file_type, space, links, plist, H5P_DEFAULT);
    H5Sclose(space);
    H5Pclose(plist);
    H5Pclose(links);
    if (*dataset < 0)
        return sg_fail(SG_E_INTERNAL, "%s: cannot create %s", file->path, name);
    return SG_OK;
}

sg_status sg_h5_write_rows(sg_h5 *file, hid_t dataset, const char *name, hid_t memory_type, int64_t first,
                           int64_t count, const void *data)
{
    hid_t file_space, memory_space;
    select_rows(dataset, first, count, &file_space, &memory_space);
    herr_t result = H5Dwrite(dataset, memory_type, memory_space, file_space, H5P_DEFAULT, data);
    H5Sclose(memory_space);
    H5Sclose(file_space);
    if (result < 0)
        return sg_fail(SG_E_MEMORY, "%s: cannot write %s", file->path, name);
    return SG_OK;
}

static hid_t little_endian_type(hid_t memory_type)
{
    hid_t type = H5Tcopy(memory_type);
    H5T_class_t class = H5Tget_class(type);
    if (class == H5T_INTEGER || class == H5T_FLOAT)
        H5Tset_order(type, H5T_ORDER_LE);
    return type;
}

sg_status sg_h5_write(sg_h5 *file, const char *name, hid_t memory_type, int rank, const int64_t *dims,
                      bool compress, const void *data)
{
    hid_t dataset, type = little_endian_type(memory_type);
    sg_status status = sg_h5_create_dataset(file, name, type, rank, dims, compress, &dataset);
    H5Tclose(type);
    SG_TRY(status);
    status = sg_h5_write_rows(file, dataset, name, memory_type, 0, rank ? dims[0] : 1, data);
    H5Dclose(dataset);
    return status;
}

/* Writes `count` strings, a block of fields of `width` bytes at a time. */
static sg_status write_text_data(sg_h5 *file, const char *name, hid_t dataset, hid_t type, size_t width,
                                 char *const *texts, int64_t count)
{
    int64_t rows = TEXT_BLOCK_BYTES / (int64_t)width;
    char *block;
    SG_TRY(sg_alloc(&block, (size_t)rows * width, name));
    sg_status status = SG_OK;
    for (int64_t first = 0; first < count && status == SG_OK; first += rows) {
        int64_t n = count - first < rows ? count - first : rows;
        memset(block, 0, (size_t)rows * width);
        for (int64_t i = 0; i < n; i++)
            memcpy(block + (size_t)i * width, texts[first + i], strlen(texts[first + i]));
        status = sg_h5_write_rows(file, dataset, name, type, first, n, block);
    }
    free(block);
    return status;
}

sg_status sg_h5_write_texts(sg_h5 *file, const char *name, char *const *texts, int64_t count)
{
    size_t width = 1;
    for (int64_t i = 0; i < count; i++)
        width = strlen(texts[i]) > width ? strlen(texts[i]) : width;
    if (width > TEXT_WIDTH_MAX)
        return sg_fail(SG_E_CONFIG, "%s: a string of %s is longer than %d bytes", file->path, name,
                       TEXT_WIDTH_MAX);
    hid_t type = text_type(width), dataset;
    sg_status status = sg_h5_create_dataset(file, name, type, 1, &count, true, &dataset);
    if (status == SG_OK) {
        status = write_text_data(file, name, dataset, type, width, texts, count);
        H5Dclose(dataset);
    }
    H5Tclose(type);
    return status;
}
