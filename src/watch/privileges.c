#include "watch/privileges.h"

#include "base/memory.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ENTRY_BYTES = 65536, NAME_MAX_BYTES = 256 };

typedef struct {
    uid_t uid;
    gid_t gid;
    bool has_gid;
} identity;

/* A number below 2^32 - 1, which means "leave as it is". */
static bool parse_id(const char *text, unsigned *id)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value >= UINT32_MAX)
        return false;
    *id = (unsigned)value;
    return true;
}

static sg_status find_user(const char *name, char *bytes, identity *who)
{
    struct passwd entry, *found = NULL;
    unsigned id;
    if (parse_id(name, &id)) {
        getpwuid_r(id, &entry, bytes, ENTRY_BYTES, &found); /* an account is not needed */
        who->uid = id;
    } else {
        int error = getpwnam_r(name, &entry, bytes, ENTRY_BYTES, &found);
        if (!found)
            return sg_fail(SG_E_USAGE, "unknown user '%s'%s%s: name an existing one, or a number", name,
                           error ? ": " : "", error ? strerror(error) : "");
        who->uid = entry.pw_uid;
    }
    who->has_gid = found != NULL;
    who->gid = found ? entry.pw_gid : 0;
    return SG_OK;
}

static sg_status find_group(const char *name, char *bytes, identity *who)
{
    struct group entry, *found = NULL;
    unsigned id;
    who->has_gid = true;
    if (parse_id(name, &id)) {
        who->gid = id;
        return SG_OK;
    }
    int error = getgrnam_r(name, &entry, bytes, ENTRY_BYTES, &found);
    if (!found)
        return sg_fail(SG_E_USAGE, "unknown group '%s'%s%s: name an existing one, or a number", name,
                       error ? ": " : "", error ? strerror(error) : "");
    who->gid = entry.gr_gid;
    return SG_OK;
}

static sg_status find_identity(const char *user, identity *who)
{
    char name[NAME_MAX_BYTES], *bytes;
    const char *colon = strchr(user, ':');
    size_t length = colon ? (size_t)(colon - user) : strlen(user);
    if (length == 0 || length >= sizeof name || (colon && !colon[1]))
        return sg_fail(SG_E_USAGE, "'%.80s' is not a user: expected NAME, NAME:GROUP, UID or UID:GID", user);
    memcpy(name, user, length);
    name[length] = '\0';
    SG_TRY(sg_alloc(&bytes, ENTRY_BYTES, "a user's entry"));
    sg_status status = find_user(name, bytes, who);
    if (status == SG_OK && colon)
        status = find_group(colon + 1, bytes, who);
    free(bytes);
    SG_TRY(status);
    if (!who->has_gid)
        return sg_fail(SG_E_USAGE, "user %s has no account to take a group from: give UID:GID", name);
    if (who->uid == 0 || who->gid == 0)
        return sg_fail(SG_E_USAGE, "'%.80s' is root or of its group: name a user without privileges", user);
    return SG_OK;
}

static bool is_settled(const identity *who)
{
    uid_t uid[3];
    gid_t gid[3], groups[1];
    if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
        return false;
    for (int i = 0; i < 3; i++)
        if (uid[i] != who->uid || gid[i] != who->gid)
            return false;
    int count = getgroups(0, NULL);
    return count == 0 || (count == 1 && getgroups(1, groups) == 1 && groups[0] == who->gid);
}

static sg_status become(const identity *who, const char *user)
{
    /* A process that is this user already, and no more, has nothing to ask for. */
    if (geteuid() != 0 && is_settled(who))
        return SG_OK;
    if (setgroups(1, &who->gid) != 0 || setresgid(who->gid, who->gid, who->gid) != 0 ||
        setresuid(who->uid, who->uid, who->uid) != 0)
        return sg_fail(SG_E_IO, "cannot become the user %s: %s%s", user, strerror(errno),
                       errno == EPERM ? " (only root can)" : "");
    if (!is_settled(who) || setuid(0) == 0 || setgid(0) == 0)
        return sg_fail(SG_E_IO, "the system did not change this process to the user %s permanently", user);
    return SG_OK;
}

static sg_status drop_capabilities(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
        return sg_fail(SG_E_IO, "cannot clear the ambient capabilities: %s", strerror(errno));
    if (syscall(SYS_capset, &head, none) != 0)
        return sg_fail(SG_E_IO, "cannot give up capabilities: %s", strerror(errno));
    return SG_OK;
}

sg_status sg_privileges_drop(const char *user)
{
    if (user && *user) {
        identity who = {0};
        SG_TRY(find_identity(user, &who));
        SG_TRY(become(&who, user));
    }
    if (geteuid() != 0)
        SG_TRY(drop_capabilities());
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return sg_fail(SG_E_IO, "cannot set PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
    return SG_OK;
}
