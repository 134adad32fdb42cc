/* privileges.h: giving up the privileges that only opening a device needs. */
#ifndef SG_WATCH_PRIVILEGES_H
#define SG_WATCH_PRIVILEGES_H

#include "base/status.h"

/* Permanently becomes `user`: "name", "name:group", "uid" or "uid:gid" (a bare uid takes the group of its
 * account).  Sets group, supplementary groups (that one alone) and user, in this order, checks that they are
 * set and that there is no way back, drops all capabilities, and sets PR_SET_NO_NEW_PRIVS.
 *
 * NULL or "": keeps the user, but gives up the capabilities (as CAP_NET_RAW from a systemd unit) unless it is
 * root.
 *
 * Before other threads are started: the last two count for the calling thread and its children.  SG_E_USAGE
 * for an unknown user or group and for root, SG_E_IO if the system refuses; the process should end then. */
sg_status sg_privileges_drop(const char *user);

#endif
