#include "sipdetect/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static sg_status check_header(const sd_header *header, size_t bytes)
{
    if (bytes < sizeof *header || memcmp(header->magic, SD_MAGIC, sizeof header->magic) != 0)
        return sg_fail(SG_E_FORMAT, "not a .sipm model");
    if (header->version != SD_VERSION)
        return sg_fail(SG_E_FORMAT, "format version %u; this library reads version %d", header->version,
                       SD_VERSION);
    if (header->bytes != bytes)
        return sg_fail(SG_E_FORMAT,
                       "the file has %zu bytes, but its header says %llu: it was cut off or extended", bytes,
                       (unsigned long long)header->bytes);
    return SG_OK;
}

/* The section SPEC, which always comes first. */
static sg_status find_spec(sd_file *file, const sd_header *header)
{
    const uint64_t sections = header->sections;
    if (sections < 1 || sections >= SD_SECTIONS)
        return sg_fail(SG_E_FORMAT, "a table of %u sections", header->sections);
    const uint64_t at = sd_round_up(sizeof *header + sections * sizeof(sd_entry), SD_ALIGNMENT);
    if (at + sizeof(sd_spec) > file->bytes)
        return sg_fail(SG_E_FORMAT, "cut in its table of sections");
    file->spec = (const sd_spec *)((const char *)file->data + at);
    return sd_spec_check(file->spec);
}

static sg_status find_sections(sd_file *file, const sd_header *header)
{
    sd_entry wanted[SD_SECTIONS];
    const sd_entry *table = (const sd_entry *)(header + 1);
    uint64_t bytes;
    const uint32_t count = (uint32_t)sd_table(file->spec, wanted, &bytes);
    if (count != header->sections || bytes != file->bytes)
        return sg_fail(SG_E_FORMAT, "%u sections of %llu bytes in all, but the spec makes %u of %llu",
                       header->sections, (unsigned long long)file->bytes, count, (unsigned long long)bytes);
    for (uint32_t i = 0; i < count; i++) {
        if (memcmp(&table[i], &wanted[i], sizeof wanted[i]) != 0)
            return sg_fail(SG_E_FORMAT, "section %s is not where the spec puts it",
                           sd_section_name((int)wanted[i].id));
        file->section[wanted[i].id] = (const char *)file->data + wanted[i].offset;
    }
    return SG_OK;
}

static void set_pointers(sd_file *f)
{
    const void *const *at = f->section;
    f->provenance = at[SD_PROVENANCE];
    f->class_start = at[SD_CLASS_START];
    f->class_types = at[SD_CLASS_TYPES];
    f->class_train = at[SD_CLASS_TRAIN];
    f->limits = at[SD_LIMITS];
    f->prefix_limits = (const double(*)[2])at[SD_PREFIX_LIMITS];
    f->centroids = (const double(*)[2])at[SD_CENTROIDS];
    f->trie = (sd_trie){.nodes = f->spec->nodes,
                        .first = at[SD_TRIE_FIRST],
                        .type = at[SD_TRIE_TYPE],
                        .ending = at[SD_TRIE_ENDING],
                        .passing = at[SD_TRIE_PASSING],
                        .score = at[SD_TRIE_SCORE]};
    f->network = sd_network_at(f->spec, at);
}

/* The alphabet checks names, except for where they end. */
static sg_status open_alphabet(sd_file *file)
{
    const int count = (int)file->spec->message_types;
    const char *at = file->section[SD_ALPHABET], *end = at + file->spec->alphabet_bytes;
    const char **names = malloc((size_t)count * sizeof *names);
    if (!names)
        return sg_fail(SG_E_MEMORY, "alphabet: out of memory");
    int n = 0;
    for (const char *stop; n < count && (stop = memchr(at, '\0', (size_t)(end - at))); n++) {
        names[n] = at;
        at = stop + 1;
    }
    sg_status status = n == count && at == end
                           ? sg_alphabet_open(&file->alphabet, (sg_type_rule)file->spec->type_rule, names, n)
                           : sg_fail(SG_E_FORMAT, "the alphabet does not hold exactly %d names", count);
    free(names);
    return status;
}

static sg_status read_all(sd_file *file)
{
    const sd_header *header = file->data;
    SG_TRY(check_header(header, file->bytes));
    sg_status status = find_spec(file, header);
    if (status == SG_OK)
        status = find_sections(file, header);
    if (status != SG_OK) /* tells a badly made file from a damaged one */
        return header->checksum == sd_checksum(header, file->bytes) ? status : sd_damaged();
    SG_TRY(sd_file_check_bytes(file));
    set_pointers(file);
    SG_TRY(sd_file_check(file));
    return open_alphabet(file);
}

sg_status sd_file_take(sd_file *file, const void *data, size_t bytes)
{
    *file = (sd_file){.data = data, .bytes = bytes};
    if ((uintptr_t)data % SD_ALIGNMENT != 0)
        return sg_fail(SG_E_CONFIG, "a model in memory must be aligned to %d bytes", SD_ALIGNMENT);
    sg_status status = read_all(file);
    if (status != SG_OK)
        sd_file_close(file);
    return status;
}

static sg_status map_descriptor(sd_file *file, int fd)
{
    struct stat s;
    if (fstat(fd, &s) != 0)
        return sg_fail(SG_E_IO, "%s", strerror(errno));
    if (!S_ISREG(s.st_mode))
        return sg_fail(SG_E_IO, "not a file");
    if (s.st_size == 0)
        return sg_fail(SG_E_FORMAT, "not a .sipm model: the file is empty");
    void *data = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (data == MAP_FAILED)
        return sg_fail(SG_E_IO, "cannot be mapped: %s", strerror(errno));
    *file = (sd_file){.data = data, .bytes = (size_t)s.st_size, .mapped = true};
    return SG_OK;
}

sg_status sd_file_map(sd_file *file, const char *path)
{
    *file = (sd_file){0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not make this wait */
    if (fd < 0)
        return sg_fail(SG_E_IO, "%s: %s", path, strerror(errno));
    sg_status status = map_descriptor(file, fd);
    close(fd);
    if (status == SG_OK)
        status = read_all(file);
    if (status == SG_OK)
        return SG_OK;
    sd_file_close(file);
    return sg_fail_prefix(status, "%s", path);
}

void sd_file_close(sd_file *file)
{
    sg_alphabet_close(file->alphabet);
    if (file->mapped)
        munmap((void *)(uintptr_t)file->data, file->bytes);
    *file = (sd_file){0};
}
