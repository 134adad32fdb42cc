#include "testing.h"
#include "watch/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs `part` in a child, which succeeds by returning true. */
static void in_a_child(bool (*part)(void))
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        bool fine = part();
        if (!fine)
            fprintf(stderr, "%s (%s)\n", sg_error_text(), sg_error_origin());
        _exit(fine ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool is_somebody_else(unsigned uid, unsigned gid)
{
    gid_t group = 0;
    return getuid() == uid && geteuid() == uid && getgid() == gid && getegid() == gid &&
           getgroups(0, NULL) == 1 && getgroups(1, &group) == 1 && group == gid && setuid(0) != 0 &&
           seteuid(0) != 0 && setgid(0) != 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
           access("/etc/shadow", R_OK) != 0 &&
           prctl(PR_CAPBSET_DROP, 13, 0, 0, 0) != 0; /* wants CAP_SETPCAP */
}

static bool by_numbers(void)
{
    gid_t many[] = {0, 4, 27};
    return setgroups(3, many) == 0 && sg_privileges_drop("64999:64998") == SG_OK &&
           is_somebody_else(64999, 64998);
}

static bool by_name(void)
{
    return sg_privileges_drop("nobody") == SG_OK &&
           is_somebody_else(getpwnam("nobody")->pw_uid, getpwnam("nobody")->pw_gid);
}

static bool by_name_and_group(void)
{
    return sg_privileges_drop("nobody:daemon") == SG_OK &&
           is_somebody_else(getpwnam("nobody")->pw_uid, getgrnam("daemon")->gr_gid);
}

/* A user who drops to himself has nothing to ask root for; to another one he cannot. */
static bool without_root(void)
{
    return sg_privileges_drop("64999:64998") == SG_OK && sg_privileges_drop("64999:64998") == SG_OK &&
           sg_privileges_drop(NULL) == SG_OK && sg_privileges_drop("nobody") == SG_E_IO &&
           strstr(sg_error_text(), "cannot become the user nobody") &&
           strstr(sg_error_text(), "only root can");
}

static void root_becomes_somebody_else_for_good(void **state)
{
    (void)state;
    if (geteuid() != 0 || !getpwnam("nobody") || !getgrnam("daemon")) {
        print_message("skipped: needs root, the user nobody and the group daemon\n");
        skip();
    }
    in_a_child(by_numbers);
    in_a_child(by_name);
    in_a_child(by_name_and_group);
    in_a_child(without_root);
}

static bool nobody_named(void)
{
    return sg_privileges_drop("") == SG_OK && sg_privileges_drop(NULL) == SG_OK &&
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

static void without_a_user_only_the_doors_are_shut(void **state)
{
    (void)state;
    in_a_child(nobody_named);
}

static void users_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    assert_fails(SG_E_USAGE, "unknown user 'no-such-user-here'", sg_privileges_drop("no-such-user-here"));
    assert_fails(SG_E_USAGE, "unknown group 'no-such-group'", sg_privileges_drop("nobody:no-such-group"));
    assert_fails(SG_E_USAGE, "is root", sg_privileges_drop("root"));
    assert_fails(SG_E_USAGE, "is root", sg_privileges_drop("0"));
    assert_fails(SG_E_USAGE, "is root", sg_privileges_drop("nobody:0"));
    assert_fails(SG_E_USAGE, "give UID:GID", sg_privileges_drop("64999"));
    assert_fails(SG_E_USAGE, "is not a user", sg_privileges_drop(":"));
    assert_fails(SG_E_USAGE, "is not a user", sg_privileges_drop("nobody:"));
    assert_fails(SG_E_USAGE, "unknown user", sg_privileges_drop("4294967295:1"));
    assert_fails(SG_E_USAGE, "unknown user", sg_privileges_drop("-1:1"));
    assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0); /* nothing was done yet */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_becomes_somebody_else_for_good),
        cmocka_unit_test(without_a_user_only_the_doors_are_shut),
        cmocka_unit_test(users_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
