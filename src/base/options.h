/* options.h: one table of options drives all that touches them: the INI reader, --set, the command line,
 * --help, --dump-config, manual page, shell completion, range checks, and the error for an unknown name (with
 * the nearest known one).
 *
 * A table is an array of sg_option that ends with an entry of type SG_OPT_END.  Each entry says where in a C
 * struct the value lives.  Configuration tables have a section; tables of command-line flags have section
 * NULL.
 */
#ifndef SG_BASE_OPTIONS_H
#define SG_BASE_OPTIONS_H

#include "base/status.h"
#include <stdint.h>
#include <stdio.h>

#define SG_TEXT_MAX 1024

typedef enum {
    SG_OPT_END,
    SG_OPT_FLAG,  /* bool; true/false, yes/no, on/off, 1/0; on a command line, alone means true */
    SG_OPT_INT,   /* int64_t within [min, max] */
    SG_OPT_REAL,  /* double within [min, max], finite */
    SG_OPT_TEXT,  /* char[SG_TEXT_MAX] */
    SG_OPT_ENUM,  /* int: the position in `choices` */
    SG_OPT_APPEND /* sg_text_list: may be given several times; the strings are not copied */
} sg_option_type;

typedef struct {
    const char *section; /* NULL in a command-line table */
    const char *key;     /* lower case with '_'; a command line accepts '-' as well */
    sg_option_type type;
    size_t offset;        /* of the value in the struct */
    const char *fallback; /* the default, as text; NULL: left as zero */
    double min, max;      /* SG_OPT_INT and SG_OPT_REAL */
    const char *choices;  /* SG_OPT_ENUM: "a|b|c"; of others, words that a shell may complete, or NULL */
    const char *argument; /* for --help: "FILE"; NULL: "N", "X", the choices, or none for flags */
    const char *help;     /* one sentence */
    const char *setting;  /* "section.key" of the setting that this option stands for, or NULL */
    char letter;          /* a short form for the command line, or 0 */
    bool required;        /* on a command line: text that must not be empty */
} sg_option;

/* Entries of a table:
 *     SG_TEXT(SG_KEY(options, out), "FILE", "the file to write", .letter = 'o', .required = true)
 * SG_KEY: the member of the struct that holds the value and names the option; SG_AT: it has another name.
 * Further members follow as designated initialisers. */
#define SG_AT(key_, struct_, member) .key = key_, .offset = offsetof(struct_, member)
#define SG_KEY(struct_, member)      SG_AT(#member, struct_, member)
#define SG_FLAG(at, help_, ...)                             \
    {                                                       \
        at, .type = SG_OPT_FLAG, .help = help_, __VA_ARGS__ \
    }
#define SG_INT(at, fallback_, low, high, help_, ...)                                                       \
    {                                                                                                      \
        at, .type = SG_OPT_INT, .fallback = fallback_, .min = low, .max = high, .help = help_, __VA_ARGS__ \
    }
#define SG_REAL(at, fallback_, low, high, help_, ...)                                                       \
    {                                                                                                       \
        at, .type = SG_OPT_REAL, .fallback = fallback_, .min = low, .max = high, .help = help_, __VA_ARGS__ \
    }
#define SG_ENUM(at, fallback_, choices_, help_, ...)                                                    \
    {                                                                                                   \
        at, .type = SG_OPT_ENUM, .fallback = fallback_, .choices = choices_, .help = help_, __VA_ARGS__ \
    }
#define SG_TEXT(at, argument_, help_, ...)                                         \
    {                                                                              \
        at, .type = SG_OPT_TEXT, .argument = argument_, .help = help_, __VA_ARGS__ \
    }
#define SG_LIST(at, argument_, help_, ...)                                           \
    {                                                                                \
        at, .type = SG_OPT_APPEND, .argument = argument_, .help = help_, __VA_ARGS__ \
    }
#define SG_OPTIONS_END     \
    {                      \
        .type = SG_OPT_END \
    }

#define SG_TEXT_LIST_MAX 4096

typedef struct {
    size_t count;
    const char **items; /* grown by sg_text_list_add; release with free() */
    size_t capacity;
} sg_text_list;

sg_status sg_text_list_add(sg_text_list *list, const char *item);

/* Sets every value of the struct at `base` to its default. */
sg_status sg_options_defaults(const sg_option *table, void *base);

/* Sets one value from text.  `section` is NULL for command-line tables.  Errors name section, key, the value,
 * what is allowed, and for unknown names the nearest known one; their status is `wrong` (SG_E_CONFIG for
 * files, SG_E_USAGE for the command line). */
sg_status sg_options_set(const sg_option *table, void *base, const char *section, const char *key,
                         const char *value, sg_status wrong);

/* Reads an INI file over the values at `base`; errors carry "path:line". */
sg_status sg_options_read_ini(const sg_option *table, void *base, const char *path);

/* The same from a text in memory; `name` stands for the path in errors. */
sg_status sg_options_read_ini_text(const sg_option *table, void *base, const char *text, const char *name);

/* Applies one "section.key=value". SG_E_USAGE on any fault. */
sg_status sg_options_assign(const sg_option *table, void *base, const char *assignment);

/* Writes the values as an INI file that reads back to the same struct.  With `comments`, each key has its
 * help sentence above it. */
void sg_options_write_ini(const sg_option *table, const void *base, FILE *out, bool comments);

/* The value as the text that sg_options_set would take, into text[SG_TEXT_MAX]. */
void sg_options_value_text(const sg_option *option, const void *base, char text[SG_TEXT_MAX]);

/* Writes "section.key, section.key" of the values that differ between two structs into text; returns how
 * many. Keys for which `ignore` returns true are passed over; `ignore` may be NULL. */
size_t sg_options_differences(const sg_option *table, const void *a, const void *b,
                              bool (*ignore)(const sg_option *), char *text, size_t size);

/* "--key" with '-' for '_', into text[64]; returns text. */
char *sg_option_name(const sg_option *option, char text[64]);

/* What stands for its value in --help; "" for flags. */
const char *sg_option_argument(const sg_option *option);

/* Prints the table for --help, two columns. */
void sg_options_help(const sg_option *table, FILE *out);

/* Reads a command line: --key value, --key=value, -k value, --flag; "--" ends options.  Words that are no
 * options are collected in `words`.  "-" alone is a word.  For an unknown option that is a key of `settings`,
 * or nearly one, the error shows how to --set it; `settings` may be NULL. */
sg_status sg_options_command_line(const sg_option *table, const sg_option *settings, void *base, int argc,
                                  char **argv, sg_text_list *words);

/* SG_E_USAGE "COMMAND needs --out FILE" if the text of a required option is empty. */
sg_status sg_options_require(const sg_option *table, const void *base, const char *command);

/* Puts the texts at `base` that stand for a setting, and are not empty, into `config`. */
sg_status sg_options_apply(const sg_option *table, const void *base, const sg_option *settings, void *config);

/* Frees the lists at `base`. */
void sg_options_free(const sg_option *table, void *base);

/* The known name nearest to `name` (edit distance at most a third of its length, at least 2), or NULL. */
const char *sg_nearest_name(const char *name, const char *const *known, size_t count);

#endif
