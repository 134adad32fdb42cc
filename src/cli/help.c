#include "cli/help.h"

#include <string.h>

void sg_help_commands(const char *family, FILE *out)
{
    const size_t n = family ? strlen(family) : 0;
    if (family)
        fprintf(out, "usage: sipgpu %s COMMAND [options]\n\ncommands:\n", family);
    else
        fputs("usage: sipgpu COMMAND [options]\n\n"
              "Learns SIP dialogs with LSTM networks and flags abnormal ones.\n\ncommands:\n",
              out);
    for (const sg_command *const *c = sg_commands; *c; c++)
        if (!family || (strncmp((*c)->name, family, n) == 0 && (*c)->name[n] == ' '))
            fprintf(out, "  %-15s %s\n", (*c)->name, (*c)->summary);
    if (!family)
        fputs("\n`sipgpu help COMMAND` explains one.  Exit codes: 0 done, 1 failed, 2 wrong usage.\n", out);
}

static void print_usage(const sg_command *c, FILE *out)
{
    fprintf(out, "sipgpu %s [options]%s%s", c->name, c->words ? " " : "", c->words ? c->words : "");
}

void sg_help_command(const sg_command *command, FILE *out)
{
    fputs("usage: ", out);
    print_usage(command, out);
    fprintf(out, "\n\n%s\n\noptions:\n", command->about);
    sg_options_help(command->table, out);
}

/* ---- the manual page ---- */

/* Text that troff prints as it is.  What a control line would begin with is shielded. */
static void put_text(const char *text, FILE *out)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++)
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\n' && (text[1] == '.' || text[1] == '\''))
            fputs("\n\\&", out);
        else
            fputc(*text, out);
}

/* Indented lines are examples and are not filled. */
static void put_about(const char *about, FILE *out)
{
    bool example = false;
    char line[256];
    for (const char *next = about; *next; next += strcspn(next, "\n"), next += *next == '\n') {
        snprintf(line, sizeof line, "%.*s", (int)strcspn(next, "\n"), next);
        if (example != (line[0] == ' '))
            fputs(example ? ".fi\n" : ".nf\n", out);
        example = line[0] == ' ';
        put_text(line, out);
        fputc('\n', out);
    }
    if (example)
        fputs(".fi\n", out);
}

static void put_help(const sg_option *o, FILE *out)
{
    fputc('\n', out);
    put_text(o->help, out);
    if (o->fallback && o->fallback[0] && o->type != SG_OPT_FLAG) {
        fputs(" [", out);
        put_text(o->fallback, out);
        fputc(']', out);
    }
    fputs(o->required ? " (required)\n" : "\n", out);
}

static void put_options(const sg_option *table, FILE *out)
{
    char name[64];
    for (const sg_option *o = table; o->type != SG_OPT_END; o++) {
        fputs(".TP\n", out);
        if (o->letter)
            fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
        fputs("\\fB", out);
        put_text(sg_option_name(o, name), out);
        fputs("\\fR \\fI", out);
        put_text(sg_option_argument(o), out);
        fputs("\\fR", out);
        put_help(o, out);
    }
}

/* All keys that --set knows; two commands may share a table. */
static void put_settings(FILE *out)
{
    const sg_option *seen[8] = {0};
    size_t count = 0;
    for (const sg_command *const *c = sg_commands; *c; c++) {
        size_t i = 0;
        while (i < count && seen[i] != (*c)->settings)
            i++;
        if (!(*c)->settings || i < count)
            continue;
        seen[count++] = (*c)->settings;
        for (const sg_option *o = (*c)->settings; o->type != SG_OPT_END; o++) {
            fprintf(out, ".TP\n\\fB%s.%s\\fR \\fI", o->section, o->key);
            put_text(o->type == SG_OPT_FLAG ? "true|false" : sg_option_argument(o), out);
            fputs("\\fR", out);
            put_help(o, out);
        }
    }
}

void sg_help_manual(FILE *out)
{
    fputs(".TH SIPGPU 1 \"\" \"sipgpu " SG_VERSION "\" \"User Commands\"\n"
          ".SH NAME\nsipgpu \\- learns SIP dialogs with LSTM networks and flags abnormal ones\n"
          ".SH SYNOPSIS\n.B sipgpu\n.I COMMAND\n[options] [words]\n"
          ".SH DESCRIPTION\nEach command has options of its own.\n"
          "An option is written \\fB\\-\\-key\\fR \\fIvalue\\fR or \\fB\\-\\-key=\\fR\\fIvalue\\fR; "
          "defaults stand in brackets.\n.SH COMMANDS\n",
          out);
    for (const sg_command *const *c = sg_commands; *c; c++) {
        fputs(".SS ", out);
        print_usage(*c, out);
        fputc('\n', out);
        put_about((*c)->about, out);
        put_options((*c)->table, out);
    }
    fputs(".SH SETTINGS\nKeys of configuration files and of \\fB\\-\\-set\\fR, with the command's\n"
          "\\fB\\-\\-dump\\-config\\fR to show them as a file.\n",
          out);
    put_settings(out);
    fputs(".SH EXIT STATUS\n0: done; 1: failed; 2: wrong usage.\n.SH SEE ALSO\n.BR sipdetect (3)\n", out);
}
