/* signals.h: Ctrl-C and SIGTERM ask the running command to save its state; a second one ends the process at
 * once. */
#ifndef SG_BASE_SIGNALS_H
#define SG_BASE_SIGNALS_H

#include <signal.h>

/* Installs the handlers, the first time it is called; returns the flag they set, one for the process.  Any
 * thread may call it: a handler that a signal has used up is not put back. */
volatile sig_atomic_t *sg_signals_install(void);

#endif
