/* import_cells.c: what single cells mean. */
#include "corpus/import.h"

#include <ctype.h>
#include <string.h>

static const int64_t second = 1000000000;

/* Reads exactly `digits` digits; false if they are missing. */
static bool read_digits(const char **p, int digits, int *value)
{
    *value = 0;
    for (int i = 0; i < digits; i++, (*p)++) {
        if (!isdigit((unsigned char)**p))
            return false;
        *value = *value * 10 + (**p - '0');
    }
    return true;
}

/* ".123" or "" as nanoseconds; digits beyond the ninth are dropped. */
static bool read_fraction(const char **p, int64_t *nanoseconds)
{
    int64_t unit = second;
    *nanoseconds = 0;
    if (**p != '.' && **p != ',')
        return true;
    for (++*p; isdigit((unsigned char)**p); ++*p) {
        unit /= 10;
        *nanoseconds += unit * (**p - '0');
    }
    return true;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar (years from March, so that the leap day is last).
 */
static int64_t days_from_date(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719468;
}

static bool parse_iso(const char *p, int64_t *nanoseconds)
{
    int year, month, day, hour, minute, seconds, zone_hour = 0, zone_minute = 0;
    int64_t fraction;
    if (!read_digits(&p, 4, &year) || *p++ != '-' || !read_digits(&p, 2, &month) || *p++ != '-' ||
        !read_digits(&p, 2, &day) || (*p != 'T' && *p != 't' && *p != ' '))
        return false;
    p++;
    if (!read_digits(&p, 2, &hour) || *p++ != ':' || !read_digits(&p, 2, &minute) || *p++ != ':' ||
        !read_digits(&p, 2, &seconds) || !read_fraction(&p, &fraction))
        return false;
    int sign = *p == '-' ? -1 : 1;
    if (*p == '+' || *p == '-') {
        p++;
        if (!read_digits(&p, 2, &zone_hour))
            return false;
        p += *p == ':';
        if (!read_digits(&p, 2, &zone_minute))
            return false;
    } else if (*p == 'Z' || *p == 'z') {
        p++;
    }
    if (*p || year < 1970 || year > 2200 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
        minute > 59 || seconds > 60)
        return false;
    int64_t t = days_from_date(year, month, day) * 86400 + hour * 3600 + minute * 60 + seconds -
                sign * (zone_hour * 3600 + zone_minute * 60);
    *nanoseconds = t * second + fraction;
    return true;
}

bool sg_parse_time(const char *text, int64_t *nanoseconds)
{
    if (strlen(text) >= 19 && text[4] == '-')
        return parse_iso(text, nanoseconds);
    const char *p = text;
    bool negative = *p == '-';
    p += *p == '-' || *p == '+';
    if (!isdigit((unsigned char)*p) && !(*p == '.' && isdigit((unsigned char)p[1])))
        return false;
    int64_t whole = 0, fraction;
    for (; isdigit((unsigned char)*p); p++) {
        whole = whole * 10 + (*p - '0');
        if (whole > INT64_MAX / second - 1)
            return false;
    }
    if (!read_fraction(&p, &fraction) || *p)
        return false;
    *nanoseconds = (whole * second + fraction) * (negative ? -1 : 1);
    return true;
}

/* A method is a token (RFC 3261, 25.1); here it also starts with a letter. */
static bool is_method(const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)word[i]) && !strchr("-.!%*_+`'~", word[i]))
            return false;
    return isalpha((unsigned char)word[0]);
}

bool sg_parse_message(const char *text, char type[33])
{
    if (strncasecmp(text, "SIP/2.0 ", 8) == 0)
        text += 8;
    size_t length = strcspn(text, " ");
    if (length == 0 || length > 32)
        return false;
    if (isdigit((unsigned char)text[0])) {
        bool code = length == 3 && isdigit((unsigned char)text[1]) && isdigit((unsigned char)text[2]) &&
                    text[0] >= '1' && text[0] <= '6';
        if (!code)
            return false;
    } else if (!is_method(text, length)) {
        return false;
    }
    for (size_t i = 0; i < length; i++)
        type[i] = (char)toupper((unsigned char)text[i]);
    type[length] = '\0';
    return true;
}
