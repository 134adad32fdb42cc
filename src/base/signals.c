#include "base/signals.h"

#include <pthread.h>
#include <stddef.h>

static volatile sig_atomic_t stop_requested;
static pthread_once_t installed = PTHREAD_ONCE_INIT;

static void on_signal(int number)
{
    stop_requested = number;
}

static void install(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

volatile sig_atomic_t *sg_signals_install(void)
{
    pthread_once(&installed, install);
    return &stop_requested;
}
