#include "cli/help.h"

#include <string.h>

/* ---- parts of all scripts ---- */

/* Text between single quotes, with a \ before what is `special` to the shell's completion. */
static void put_quoted(const char *text, const char *special, FILE *out)
{
    for (; *text; text++)
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fprintf(out, "%s%c", strchr(special, *text) ? "\\" : "", *text);
}

/* The words that an option takes, with spaces between. */
static void put_choices(const sg_option *o, FILE *out)
{
    for (const char *p = o->choices ? o->choices : ""; *p; p++)
        fputc(*p == '|' ? ' ' : *p, out);
}

/* First words of commands, or the verbs of a family; each once. */
static void put_commands(const char *family, FILE *out)
{
    const size_t n = family ? strlen(family) : 0;
    const char *last = "";
    for (const sg_command *const *c = sg_commands; *c; c++) {
        const char *name = (*c)->name;
        const size_t first = strcspn(name, " ");
        if (family && strncmp(name, family, n) == 0 && name[n] == ' ')
            fprintf(out, "%s ", name + n + 1);
        else if (!family && (strncmp(name, last, first) != 0 || last[first] != ' '))
            fprintf(out, "%.*s ", (int)first, name);
        last = name;
    }
}

/* For each family of commands: `before`, with the family's name for %, its verbs, and `after`. */
static void put_families(const char *before, const char *after, FILE *out)
{
    char family[64], last[64] = "";
    for (const sg_command *const *c = sg_commands; *c; c++) {
        snprintf(family, sizeof family, "%.*s", (int)strcspn((*c)->name, " "), (*c)->name);
        if (sg_command_is_family(family) && strcmp(family, last) != 0) {
            for (const char *p = before; *p; p++)
                if (*p == '%')
                    fputs(family, out);
                else
                    fputc(*p, out);
            put_commands(family, out);
            fputs(after, out);
        }
        strcpy(last, family);
    }
}

/* ---- bash ---- */

static void put_bash_command(const sg_command *c, FILE *out)
{
    char name[64];
    fprintf(out, "    '%s')\n        options='", c->name);
    for (const sg_option *o = c->table; o->type != SG_OPT_END; o++)
        fprintf(out, "%s%s", o == c->table ? "" : " ", sg_option_name(o, name));
    fputs("'\n        case $previous in\n", out);
    for (const sg_option *o = c->table; o->type != SG_OPT_END; o++) {
        if (o->type == SG_OPT_FLAG)
            continue;
        fprintf(out, "        %s", sg_option_name(o, name));
        if (o->letter)
            fprintf(out, " | -%c", o->letter);
        fputs(") values='", out);
        put_choices(o, out);
        for (const sg_option *s = c->settings; s && strcmp(o->key, "set") == 0 && s->type != SG_OPT_END; s++)
            fprintf(out, "%s.%s= ", s->section, s->key);
        fputs("' ;;\n", out);
    }
    fputs("        *) values=none ;;\n        esac\n        ;;\n", out);
}

static void print_bash(FILE *out)
{
    fputs("# bash completion for sipgpu; made by `sipgpu help --completion bash`\n_sipgpu()\n{\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    local command=${COMP_WORDS[1]} options='' values='' commands=''\n    COMPREPLY=()\n"
          "    if ((COMP_CWORD == 1)); then\n        commands='",
          out);
    put_commands(NULL, out);
    fputs("'\n    fi\n    case $command in\n", out);
    put_families("    %)\n        command+=\" ${COMP_WORDS[2]}\"\n"
                 "        if ((COMP_CWORD == 2)); then commands='",
                 "'; fi\n        ;;\n", out);
    fputs("    help) if ((COMP_CWORD == 2)); then commands='", out);
    put_commands(NULL, out);
    fputs("'; fi ;;\n    esac\n"
          "    if [[ -n $commands && $word != -* ]]; then\n"
          "        mapfile -t COMPREPLY < <(compgen -W \"$commands\" -- \"$word\")\n        return\n    fi\n"
          "    case $command in\n",
          out);
    for (const sg_command *const *c = sg_commands; *c; c++)
        put_bash_command(*c, out);
    fputs("    esac\n"
          "    if [ \"$values\" != none ]; then\n"
          "        mapfile -t COMPREPLY < <(compgen -W \"$values\" -- \"$word\")\n"
          "        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2> /dev/null\n"
          "    elif [[ $word == -* ]]; then\n"
          "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
          "    fi\n    return 0\n}\ncomplete -o bashdefault -o default -F _sipgpu sipgpu\n",
          out);
}

/* ---- zsh ---- */

static void put_zsh_option(const sg_option *o, FILE *out)
{
    char name[64];
    const char *many = o->type == SG_OPT_APPEND ? "*" : "";
    for (int form = 0; form < 1 + (o->letter != 0); form++) {
        if (form)
            fprintf(out, " '%s-%c[", many, o->letter);
        else
            fprintf(out, " '%s%s[", many, sg_option_name(o, name));
        put_quoted(o->help, "[]:\\", out);
        fputc(']', out);
        if (o->type != SG_OPT_FLAG) {
            fputc(':', out);
            put_quoted(o->choices ? o->key : sg_option_argument(o), "[]:\\", out);
            fputs(o->choices ? ":(" : ":_files", out);
            put_choices(o, out);
            fputs(o->choices ? ")" : "", out);
        }
        fputc('\'', out);
    }
}

static void print_zsh(FILE *out)
{
    fputs("#compdef sipgpu\n# made by `sipgpu help --completion zsh`\nlocal command=$words[2]\n"
          "if ((CURRENT == 2)); then\n    compadd -- ",
          out);
    put_commands(NULL, out);
    fputs("\n    return\nfi\ncase $command in\n", out);
    put_families(
        "%)\n    if ((CURRENT == 3)); then\n        compadd -- ",
        "\n        return\n    fi\n    command+=\" $words[3]\"\n    shift words\n    ((CURRENT--))\n    ;;\n",
        out);
    fputs("help)\n    compadd -- ", out);
    put_commands(NULL, out);
    fputs("\n    ;;\nesac\nshift words\n((CURRENT--))\ncase $command in\n", out);
    for (const sg_command *const *c = sg_commands; *c; c++) {
        fprintf(out, "'%s') _arguments", (*c)->name);
        for (const sg_option *o = (*c)->table; o->type != SG_OPT_END; o++)
            put_zsh_option(o, out);
        fputs(" '*:file:_files' ;;\n", out);
    }
    fputs("esac\n", out);
}

/* ---- fish ---- */

static void put_fish_option(const sg_command *c, const sg_option *o, FILE *out)
{
    char name[64];
    fprintf(out, "complete -c sipgpu -n '__sipgpu_command \"%s\"' -l %s", c->name,
            sg_option_name(o, name) + 2);
    if (o->letter)
        fprintf(out, " -s %c", o->letter);
    if (o->choices)
        fputs(" -x -a '", out);
    put_choices(o, out);
    fputs(o->choices ? "'" : o->type != SG_OPT_FLAG ? " -r" : "", out);
    fputs(" -d '", out);
    for (const char *p = o->help; *p; p++)
        fprintf(out, "%s%c", *p == '\'' || *p == '\\' ? "\\" : "", *p);
    fputs("'\n", out);
}

static void print_fish(FILE *out)
{
    fputs("# fish completion for sipgpu; made by `sipgpu help --completion fish`\n"
          "function __sipgpu_command\n    string match -q -- \"$argv[1] *\" "
          "(commandline -opc | tail -n +2 | string join ' ')' '\nend\n"
          "function __sipgpu_words\n    test (count (commandline -opc)) -eq $argv[1]\nend\n"
          "complete -c sipgpu -f -n '__sipgpu_words 1' -a '",
          out);
    put_commands(NULL, out);
    fputs("'\n", out);
    put_families("complete -c sipgpu -f -n '__sipgpu_words 2; and __sipgpu_command \"%\"' -a '", "'\n", out);
    for (const sg_command *const *c = sg_commands; *c; c++)
        for (const sg_option *o = (*c)->table; o->type != SG_OPT_END; o++)
            put_fish_option(*c, o, out);
}

void sg_help_completion(sg_shell shell, FILE *out)
{
    static void (*const print[])(FILE *) = {NULL, print_bash, print_zsh, print_fish};
    if (shell != SG_SHELL_NONE)
        print[shell](out);
}
