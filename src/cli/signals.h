/* signals.h: Ctrl-C and SIGTERM ask the running command to save its state; a second one ends the process at
 * once. */
#ifndef SG_CLI_SIGNALS_H
#define SG_CLI_SIGNALS_H

#include <signal.h>

/* Installs the handlers; returns the flag they set. */
const volatile sig_atomic_t *sg_signals_install(void);

#endif
