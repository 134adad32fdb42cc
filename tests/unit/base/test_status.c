#include "testing.h"

static void records_the_last_message(void **state)
{
    (void)state;
    assert_int_equal(sg_fail(SG_E_IO, "first %d", 1), SG_E_IO);
    assert_int_equal(sg_fail(SG_E_FORMAT, "second %s", "x"), SG_E_FORMAT);
    assert_string_equal(sg_error_text(), "second x");
    assert_non_null(strstr(sg_error_origin(), "test_status.c:"));
}

static void prefixes_and_passes_the_status_through(void **state)
{
    (void)state;
    sg_fail(SG_E_CONFIG, "key is wrong");
    assert_int_equal(sg_fail_prefix(SG_E_CONFIG, "%s:%d", "file.ini", 7), SG_E_CONFIG);
    assert_string_equal(sg_error_text(), "file.ini:7: key is wrong");
}

static void keeps_messages_on_one_printable_line(void **state)
{
    (void)state;
    sg_fail(SG_E_IO, "a\nb\033[31mc\x7f");
    assert_string_equal(sg_error_text(), "a?b?[31mc?");
}

static void cuts_long_messages(void **state)
{
    (void)state;
    char text[3000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    sg_fail(SG_E_IO, "%s", text);
    assert_int_equal(strlen(sg_error_text()), 1023);
    sg_fail_prefix(SG_E_IO, "prefix");
    assert_int_equal(strlen(sg_error_text()), 1023);
    assert_memory_equal(sg_error_text(), "prefix: aaa", 11);
}

static void gives_exit_codes(void **state)
{
    (void)state;
    assert_int_equal(sg_exit_code(SG_OK), 0);
    assert_int_equal(sg_exit_code(SG_E_USAGE), 2);
    for (int s = SG_E_CONFIG; s <= SG_E_INTERNAL; s++)
        assert_int_equal(sg_exit_code((sg_status)s), 1);
}

static sg_status tries(sg_status inner, int *reached)
{
    SG_TRY(inner);
    *reached = 1;
    return SG_OK;
}

static void try_returns_early(void **state)
{
    (void)state;
    int reached = 0;
    assert_int_equal(tries(SG_E_DEVICE, &reached), SG_E_DEVICE);
    assert_int_equal(reached, 0);
    assert_int_equal(tries(SG_OK, &reached), SG_OK);
    assert_int_equal(reached, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_the_last_message),
        cmocka_unit_test(prefixes_and_passes_the_status_through),
        cmocka_unit_test(keeps_messages_on_one_printable_line),
        cmocka_unit_test(cuts_long_messages),
        cmocka_unit_test(gives_exit_codes),
        cmocka_unit_test(try_returns_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
