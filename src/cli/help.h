/* help.h: what the program says of its commands, all of it from their tables of options. */
#ifndef SG_CLI_HELP_H
#define SG_CLI_HELP_H

#include "cli/cli.h"

/* The list of all commands, or of those of a family such as "corpus"; NULL: all. */
void sg_help_commands(const char *family, FILE *out);

/* What --help prints. */
void sg_help_command(const sg_command *command, FILE *out);

/* The manual page sipgpu.1, in troff. */
void sg_help_manual(FILE *out);

typedef enum { SG_SHELL_NONE, SG_SHELL_BASH, SG_SHELL_ZSH, SG_SHELL_FISH } sg_shell;
#define SG_SHELL_CHOICES "none|bash|zsh|fish"

/* A script that completes command lines in this shell. */
void sg_help_completion(sg_shell shell, FILE *out);

#endif
