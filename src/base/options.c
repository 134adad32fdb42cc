#include "base/options.h"

#include "base/files.h"
#include <errno.h>
#include <ini.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define INI_BYTES_MAX (1u << 20)
/* inih takes lines of at most this many bytes. */
#define INI_LINE_MAX  198
#define NAMES_MAX     256

sg_status sg_text_list_add(sg_text_list *list, const char *item)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 8;
        const char **items =
            capacity <= SG_TEXT_LIST_MAX ? realloc(list->items, capacity * sizeof *items) : NULL;
        if (!items)
            return sg_fail(SG_E_USAGE, "more than %d words on the command line", SG_TEXT_LIST_MAX);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
    return SG_OK;
}

/* ---- names ---- */

static size_t edit_distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    size_t row[MAX + 1], n = strlen(a), m = strlen(b);
    if (n > MAX || m > MAX)
        return MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            size_t skip = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < skip ? change : skip;
        }
    }
    return row[m];
}

/* SIZE_MAX: too far apart to be meant. */
static size_t name_distance(const char *name, const char *known)
{
    const size_t limit = strlen(name) / 3 < 2 ? 2 : strlen(name) / 3, d = edit_distance(name, known);
    return d <= limit ? d : SIZE_MAX;
}

const char *sg_nearest_name(const char *name, const char *const *known, size_t count)
{
    const char *best = NULL;
    for (size_t i = 0; i < count; i++)
        if (name_distance(name, known[i]) < (best ? name_distance(name, best) : SIZE_MAX))
            best = known[i];
    return best;
}

/* Collects the sections (section == NULL) or the keys of one section. */
static size_t collect_names(const sg_option *table, const char *section, const char *names[NAMES_MAX])
{
    size_t count = 0;
    for (const sg_option *o = table; o->type != SG_OPT_END && count < NAMES_MAX; o++)
        if (!section || strcmp(o->section, section) == 0)
            names[count++] = section ? o->key : o->section;
    return count;
}

static sg_status unknown_setting(const sg_option *table, const char *section, const char *key,
                                 sg_status wrong)
{
    const char *names[NAMES_MAX];
    size_t n = collect_names(table, section, names);
    if (n == 0) {
        n = collect_names(table, NULL, names);
        const char *near = sg_nearest_name(section, names, n);
        return near ? sg_fail(wrong, "unknown section [%s]; did you mean [%s]?", section, near)
                    : sg_fail(wrong, "unknown section [%s]; --dump-config lists them", section);
    }
    const char *near = sg_nearest_name(key, names, n);
    for (const sg_option *o = table; !near && o->type != SG_OPT_END; o++)
        if (strcmp(o->key, key) == 0)
            return sg_fail(wrong, "unknown key %s.%s; did you mean %s.%s?", section, key, o->section, o->key);
    return near ? sg_fail(wrong, "unknown key %s.%s; did you mean %s.%s?", section, key, section, near)
                : sg_fail(wrong, "unknown key %s.%s; --dump-config lists them", section, key);
}

/* The entry whose name is nearest to `name`, and how far it is; settings also by "section.key". */
static const sg_option *nearest_option(const sg_option *table, const char *name, size_t *distance)
{
    const sg_option *best = NULL;
    char full[128];
    *distance = SIZE_MAX;
    for (const sg_option *o = table; o && o->type != SG_OPT_END; o++) {
        snprintf(full, sizeof full, "%s.%s", o->section ? o->section : "", o->key);
        const size_t by_key = name_distance(name, o->key), by_full = name_distance(name, full);
        const size_t d = by_key < by_full ? by_key : by_full;
        if (d < *distance) {
            best = o;
            *distance = d;
        }
    }
    return best;
}

/* `word` is what was typed, `key` its name with '_', `value` what it was to be, or NULL. */
static sg_status unknown_option(const sg_option *table, const sg_option *settings, const char *word,
                                const char *key, const char *value)
{
    char name[64];
    size_t to_option, to_setting;
    const sg_option *option = nearest_option(table, key, &to_option);
    const sg_option *setting = nearest_option(settings, key, &to_setting);
    const int length = (int)strcspn(word, "=");
    if (setting && to_setting < to_option) {
        const char *shown = value                          ? value
                            : setting->type == SG_OPT_FLAG ? "true"
                                                           : sg_option_argument(setting);
        return sg_fail(SG_E_USAGE,
                       to_setting == 0
                           ? "%.*s is the setting %s.%s: use --set %s.%s=%s"
                           : "unknown option %.*s; did you mean the setting %s.%s: --set %s.%s=%s?",
                       length, word, setting->section, setting->key, setting->section, setting->key, shown);
    }
    return option ? sg_fail(SG_E_USAGE, "unknown option %.*s; did you mean %s?", length, word,
                            sg_option_name(option, name))
                  : sg_fail(SG_E_USAGE, "unknown option %.*s; --help lists them", length, word);
}

static const sg_option *find_option(const sg_option *table, const char *section, const char *key)
{
    for (const sg_option *o = table; o->type != SG_OPT_END; o++) {
        if (section ? !o->section || strcmp(o->section, section) != 0 : o->section != NULL)
            continue;
        if (strcmp(o->key, key) == 0)
            return o;
    }
    return NULL;
}

/* ---- values ---- */

/* As it is called in messages: "section.key" or "--key". */
static void value_name(const sg_option *o, char text[128])
{
    if (o->section)
        snprintf(text, 128, "%s.%s", o->section, o->key);
    else
        sg_option_name(o, text);
}

static int choice_index(const char *choices, const char *value)
{
    size_t length = strlen(value);
    int index = 0;
    for (const char *p = choices; *p; index++) {
        size_t n = strcspn(p, "|");
        if (n == length && strncmp(p, value, n) == 0)
            return index;
        p += n + (p[n] == '|');
    }
    return -1;
}

static bool parse_flag(const char *value, bool *out)
{
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
            *out = strcmp(value, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static sg_status set_number(const sg_option *o, void *field, const char *value, const char *name,
                            sg_status wrong)
{
    char *end;
    errno = 0;
    if (o->type == SG_OPT_INT) {
        long long v = strtoll(value, &end, 10);
        if (end == value || *end || errno)
            return sg_fail(wrong, "%s = %s: expected a whole number", name, value);
        if ((double)v < o->min || (double)v > o->max)
            return sg_fail(wrong, "%s = %s: must be from %.0f to %.0f", name, value, o->min, o->max);
        *(int64_t *)field = v;
        return SG_OK;
    }
    double v = strtod(value, &end);
    if (end == value || *end || !isfinite(v))
        return sg_fail(wrong, "%s = %s: expected a number", name, value);
    if (v < o->min || v > o->max)
        return sg_fail(wrong, "%s = %s: must be from %g to %g", name, value, o->min, o->max);
    *(double *)field = v;
    return SG_OK;
}

static sg_status set_value(const sg_option *o, void *base, const char *value, sg_status wrong)
{
    char name[128];
    value_name(o, name);
    void *field = (char *)base + o->offset;
    switch (o->type) {
    case SG_OPT_FLAG:
        if (!parse_flag(value, field))
            return sg_fail(wrong, "%s = %s: expected true or false", name, value);
        return SG_OK;
    case SG_OPT_INT:
    case SG_OPT_REAL:
        return set_number(o, field, value, name, wrong);
    case SG_OPT_TEXT: {
        /* What goes into a configuration must fit on a line of its file. */
        size_t limit = o->section ? INI_LINE_MAX - strlen(o->key) - strlen(" = ") : SG_TEXT_MAX - 1;
        if (strlen(value) > limit)
            return sg_fail(wrong, "%s: the value is longer than %zu bytes", name, limit);
        /* A comment begins there when the file is read back. */
        if (o->section && (value[0] == ';' || strstr(value, " ;") || strstr(value, "\t;")))
            return sg_fail(wrong, "%s = %s: a value cannot hold a ';' behind a space", name, value);
        strcpy(field, value);
        return SG_OK;
    }
    case SG_OPT_ENUM: {
        int index = choice_index(o->choices, value);
        if (index < 0)
            return sg_fail(wrong, "%s = %s: must be one of %s", name, value, o->choices);
        *(int *)field = index;
        return SG_OK;
    }
    case SG_OPT_APPEND:
        return sg_text_list_add(field, value);
    case SG_OPT_END:
        break;
    }
    return sg_fail(SG_E_INTERNAL, "option %s has no type", name);
}

void sg_options_value_text(const sg_option *o, const void *base, char text[SG_TEXT_MAX])
{
    const void *field = (const char *)base + o->offset;
    text[0] = '\0';
    switch (o->type) {
    case SG_OPT_FLAG:
        strcpy(text, *(const bool *)field ? "true" : "false");
        break;
    case SG_OPT_INT:
        snprintf(text, SG_TEXT_MAX, "%lld", (long long)*(const int64_t *)field);
        break;
    case SG_OPT_REAL: {
        /* The shortest form that reads back to the same double. */
        double v = *(const double *)field;
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(text, SG_TEXT_MAX, "%.*g", digits, v);
            if (strtod(text, NULL) == v)
                break;
        }
        break;
    }
    case SG_OPT_TEXT:
        strcpy(text, field);
        break;
    case SG_OPT_ENUM: {
        const char *p = o->choices;
        for (int i = *(const int *)field; i > 0; i--)
            p += strcspn(p, "|") + 1;
        snprintf(text, SG_TEXT_MAX, "%.*s", (int)strcspn(p, "|"), p);
        break;
    }
    case SG_OPT_APPEND:
    case SG_OPT_END:
        break;
    }
}

/* ---- whole structs ---- */

sg_status sg_options_defaults(const sg_option *table, void *base)
{
    for (const sg_option *o = table; o->type != SG_OPT_END; o++)
        if (o->fallback)
            SG_TRY(set_value(o, base, o->fallback, SG_E_INTERNAL));
    return SG_OK;
}

sg_status sg_options_set(const sg_option *table, void *base, const char *section, const char *key,
                         const char *value, sg_status wrong)
{
    const sg_option *o = find_option(table, section, key);
    if (!o)
        return section ? unknown_setting(table, section, key, wrong)
                       : unknown_option(table, NULL, key, key, NULL);
    return set_value(o, base, value, wrong);
}

typedef struct {
    const sg_option *table;
    void *base;
    const char *rest;      /* of the text */
    int line, failed_line; /* from 1 */
    sg_status status;
} ini_state;

static int ini_line(void *user, const char *section, const char *key, const char *value)
{
    ini_state *state = user;
    if (!section[0])
        state->status = sg_fail(SG_E_CONFIG, "key %s stands before any [section]", key);
    else
        state->status = sg_options_set(state->table, state->base, section, key, value, SG_E_CONFIG);
    state->failed_line = state->line;
    return state->status == SG_OK;
}

/* fgets for a text in memory; counts lines, and ends the file at the first value that is refused. */
static char *ini_next(char *buffer, int size, void *user)
{
    ini_state *state = user;
    if (state->status != SG_OK || state->rest[0] == '\0')
        return NULL;
    size_t length = strcspn(state->rest, "\n");
    length += state->rest[length] == '\n';
    if (length > (size_t)size - 1)
        length = (size_t)size - 1;
    memcpy(buffer, state->rest, length);
    buffer[length] = '\0';
    state->rest += length;
    state->line += buffer[length - 1] == '\n' || state->rest[0] == '\0';
    return buffer;
}

sg_status sg_options_read_ini_text(const sg_option *table, void *base, const char *text, const char *name)
{
    ini_state state = {.table = table, .base = base, .rest = text};
    int line = ini_parse_stream(ini_next, &state, ini_line, &state);
    if (line < 0)
        return sg_fail(SG_E_MEMORY, "%s: out of memory", name);
    if (line > 0 && (state.status == SG_OK || line < state.failed_line))
        return sg_fail(SG_E_CONFIG, "%s:%d: not a [section] and not a key = value", name, line);
    if (state.status != SG_OK)
        return sg_fail_prefix(state.status, "%s:%d", name, state.failed_line);
    return SG_OK;
}

sg_status sg_options_read_ini(const sg_option *table, void *base, const char *path)
{
    char *text;
    size_t length;
    SG_TRY(sg_file_read(path, INI_BYTES_MAX, &text, &length));
    sg_status status = strlen(text) != length
                           ? sg_fail(SG_E_CONFIG, "%s: not a text file (it holds a zero byte)", path)
                           : sg_options_read_ini_text(table, base, text, path);
    free(text);
    return status;
}

sg_status sg_options_assign(const sg_option *table, void *base, const char *assignment)
{
    char copy[2 * SG_TEXT_MAX];
    if (strlen(assignment) >= sizeof copy)
        return sg_fail(SG_E_USAGE, "--set: the text is too long");
    strcpy(copy, assignment);
    char *dot = strchr(copy, '.'), *equals = strchr(copy, '=');
    if (!dot || !equals || dot > equals)
        return sg_fail(SG_E_USAGE, "--set %s: expected section.key=value", assignment);
    *dot = *equals = '\0';
    return sg_options_set(table, base, copy, dot + 1, equals + 1, SG_E_USAGE);
}

void sg_options_write_ini(const sg_option *table, const void *base, FILE *out, bool comments)
{
    const char *section = "";
    char text[SG_TEXT_MAX];
    for (const sg_option *o = table; o->type != SG_OPT_END; o++) {
        if (!o->section || o->type == SG_OPT_APPEND)
            continue;
        if (strcmp(o->section, section) != 0)
            fprintf(out, "%s[%s]\n", section[0] ? "\n" : "", o->section);
        section = o->section;
        sg_options_value_text(o, base, text);
        if (comments && o->choices)
            fprintf(out, "; %s (%s)\n", o->help, o->choices);
        else if (comments)
            fprintf(out, "; %s\n", o->help);
        fprintf(out, "%s = %s\n", o->key, text);
    }
}

size_t sg_options_differences(const sg_option *table, const void *a, const void *b,
                              bool (*ignore)(const sg_option *), char *text, size_t size)
{
    size_t count = 0, used = 0;
    char va[SG_TEXT_MAX], vb[SG_TEXT_MAX];
    text[0] = '\0';
    for (const sg_option *o = table; o->type != SG_OPT_END; o++) {
        if (ignore && ignore(o))
            continue;
        sg_options_value_text(o, a, va);
        sg_options_value_text(o, b, vb);
        if (strcmp(va, vb) == 0)
            continue;
        int n = snprintf(text + used, size - used, "%s%s%s%s", count ? ", " : "",
                         o->section ? o->section : "", o->section ? "." : "", o->key);
        used = n > 0 && used + (size_t)n < size ? used + (size_t)n : size - 1;
        count++;
    }
    return count;
}

char *sg_option_name(const sg_option *o, char text[64])
{
    snprintf(text, 64, "--%s", o->key);
    for (char *p = text; *p; p++)
        if (*p == '_')
            *p = '-';
    return text;
}

const char *sg_option_argument(const sg_option *o)
{
    return o->type == SG_OPT_FLAG  ? ""
           : o->argument           ? o->argument
           : o->choices            ? o->choices
           : o->type == SG_OPT_INT ? "N"
                                   : "X";
}

enum { HELP_COLUMN = 32, HELP_WIDTH = 100 };

/* Text from HELP_COLUMN on, broken at spaces; the cursor stands there. */
static void print_wrapped(const char *text, FILE *out)
{
    const size_t room = HELP_WIDTH - HELP_COLUMN;
    while (strlen(text) > room) {
        size_t n = room;
        while (n > 0 && text[n] != ' ')
            n--;
        if (n == 0)
            break;
        fprintf(out, "%.*s\n%*s", (int)n, text, HELP_COLUMN, "");
        text += n + 1;
    }
    fprintf(out, "%s\n", text);
}

void sg_options_help(const sg_option *table, FILE *out)
{
    for (const sg_option *o = table; o->type != SG_OPT_END; o++) {
        char left[128], name[64], text[512];
        const char *argument = sg_option_argument(o);
        const bool fallback = o->fallback && o->fallback[0] && o->type != SG_OPT_FLAG;
        char letter[8] = "    ";
        if (o->letter)
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "%s%s%s%s", letter, sg_option_name(o, name), argument[0] ? " " : "",
                 argument);
        if (strlen(left) > HELP_COLUMN - 4)
            fprintf(out, "  %s\n%*s", left, HELP_COLUMN, "");
        else
            fprintf(out, "  %-*s", HELP_COLUMN - 2, left);
        snprintf(text, sizeof text, "%s%s%s%s%s", o->help, fallback ? " [" : "", fallback ? o->fallback : "",
                 fallback ? "]" : "", o->required ? " (required)" : "");
        print_wrapped(text, out);
    }
}

/* ---- the command line ---- */

static const sg_option *find_letter(const sg_option *table, char letter)
{
    for (const sg_option *o = table; o->type != SG_OPT_END; o++)
        if (o->letter == letter)
            return o;
    return NULL;
}

/* The option that `word` names and, for "--key=value", its value; `next` is the word after it, or NULL. */
static sg_status parse_option(const sg_option *table, const sg_option *settings, const char *word,
                              const char *next, const sg_option **option, const char **value)
{
    char key[64];
    const char *equals = strchr(word, '=');
    *value = NULL;
    *option = word[1] != '-' && word[2] == '\0' ? find_letter(table, word[1]) : NULL;
    if (word[1] != '-')
        return *option ? SG_OK : sg_fail(SG_E_USAGE, "unknown option %s; --help lists them", word);
    const size_t n = (equals ? (size_t)(equals - word) : strlen(word)) - 2;
    if (n >= sizeof key)
        return sg_fail(SG_E_USAGE, "unknown option %s", word);
    for (size_t k = 0; k < n; k++)
        key[k] = word[2 + k] == '-' ? '_' : word[2 + k];
    key[n] = '\0';
    *value = equals ? equals + 1 : NULL;
    *option = find_option(table, NULL, key);
    if (*option)
        return SG_OK;
    return unknown_option(table, settings, word, key, *value ? *value : next && next[0] != '-' ? next : NULL);
}

sg_status sg_options_command_line(const sg_option *table, const sg_option *settings, void *base, int argc,
                                  char **argv, sg_text_list *words)
{
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i], *value;
        const sg_option *o;
        if (strcmp(word, "--") == 0) {
            while (++i < argc)
                SG_TRY(sg_text_list_add(words, argv[i]));
            break;
        }
        if (word[0] != '-' || word[1] == '\0') {
            SG_TRY(sg_text_list_add(words, word));
            continue;
        }
        SG_TRY(parse_option(table, settings, word, i + 1 < argc ? argv[i + 1] : NULL, &o, &value));
        if (!value && o->type == SG_OPT_FLAG)
            value = "true";
        if (!value && i + 1 >= argc)
            return sg_fail(SG_E_USAGE, "%s needs a value (%s)", word, sg_option_argument(o));
        SG_TRY(set_value(o, base, value ? value : argv[++i], SG_E_USAGE));
    }
    return SG_OK;
}

sg_status sg_options_require(const sg_option *table, const void *base, const char *command)
{
    char name[64];
    for (const sg_option *o = table; o->type != SG_OPT_END; o++)
        if (o->required && !((const char *)base + o->offset)[0])
            return sg_fail(SG_E_USAGE, "%s needs %s %s", command, sg_option_name(o, name),
                           sg_option_argument(o));
    return SG_OK;
}

sg_status sg_options_apply(const sg_option *table, const void *base, const sg_option *settings, void *config)
{
    char section[64];
    for (const sg_option *o = table; o->type != SG_OPT_END; o++) {
        const char *value = (const char *)base + o->offset;
        if (!o->setting || !value[0])
            continue;
        const char *dot = strchr(o->setting, '.');
        snprintf(section, sizeof section, "%.*s", (int)(dot - o->setting), o->setting);
        SG_TRY(sg_options_set(settings, config, section, dot + 1, value, SG_E_USAGE));
    }
    return SG_OK;
}

void sg_options_free(const sg_option *table, void *base)
{
    for (const sg_option *o = table; o->type != SG_OPT_END; o++)
        if (o->type == SG_OPT_APPEND)
            free(((sg_text_list *)((char *)base + o->offset))->items);
}
