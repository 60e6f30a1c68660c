#include "text.h"

#include <stdio.h>

#define DAY_MS 86400000

struct unit {
    const char *name;
    uint64_t scale;
};

/* Largest first: the first that divides a value exactly gives its shortest form. */
static const struct unit duration_units[] = {
    { "d", DAY_MS }, { "h", 3600000 }, { "m", 60000 },
    { "s", 1000 },   { "ms", 1 },      { 0 },
};
static const struct unit size_units[] = {
    { "TiB", 1ull << 40 }, { "GiB", 1 << 30 }, { "MiB", 1 << 20 },
    { "KiB", 1 << 10 },    { "B", 1 },         { 0 },
};

/* An empty view may point nowhere, and NULL + 0 is not C. */
static const void *end_of(struct bytes t)
{
    return t.len ? (const uint8_t *)t.data + t.len : t.data;
}

/* ---- numbers with a unit ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits at *p; false when there is none or they pass UINT64_MAX. */
static bool take_digits(const char **p, const char *end, uint64_t *v)
{
    const char *start = *p;

    for (*v = 0; *p < end && is_digit(**p); ++*p)
        if (__builtin_mul_overflow(*v, 10, v) ||
            __builtin_add_overflow(*v, (uint64_t)(**p - '0'), v))
            return false;
    return *p > start;
}

/* The scale of the unit that [p, end) names, or 0. */
static uint64_t unit_scale(const struct unit *units, const char *p, const char *end)
{
    for (; units->name; units++)
        if (bytes_eq(bytes_str(units->name), bytes_of(p, (size_t)(end - p))))
            return units->scale;
    return 0;
}

bool text_parse_u64(struct bytes t, uint64_t min, uint64_t max, uint64_t *out)
{
    const char *p = t.data, *end = end_of(t);
    uint64_t v;

    if (!take_digits(&p, end, &v) || p != end || v < min || v > max)
        return false;
    *out = v;
    return true;
}

/* The part after a decimal point: value / power, with trailing zeros left out. */
struct fraction {
    uint64_t value, power;
};

static bool take_fraction(const char **p, const char *end, struct fraction *f)
{
    uint64_t zeros = 1;
    const char *start = ++*p; /* past the point */

    for (; *p < end && is_digit(**p); ++*p) {
        zeros *= 10;
        if (zeros > 1000000000)
            return false; /* finer than any unit here can show */
        if (**p != '0') {
            f->value = f->value * zeros + (uint64_t)(**p - '0');
            f->power *= zeros;
            zeros = 1;
        }
        if (f->power > 1000000000)
            return false;
    }
    return *p > start;
}

bool text_parse_duration(struct bytes t, uint64_t *ms)
{
    const char *p = t.data, *end = end_of(t);
    struct fraction f = { 0, 1 };
    uint64_t whole, scale;

    if (!take_digits(&p, end, &whole))
        return false;
    if (p < end && *p == '.' && !take_fraction(&p, end, &f))
        return false;
    scale = p == end ? 1000 : unit_scale(duration_units, p, end);
    if (!scale || f.value * scale % f.power != 0)
        return false;
    if (__builtin_mul_overflow(whole, scale, &whole) ||
        __builtin_add_overflow(whole, f.value * scale / f.power, &whole))
        return false;
    *ms = whole;
    return true;
}

bool text_parse_size(struct bytes t, uint64_t *bytes)
{
    const char *p = t.data, *end = end_of(t);
    uint64_t whole, scale;

    if (!take_digits(&p, end, &whole))
        return false;
    scale = p == end ? 1 : unit_scale(size_units, p, end);
    if (!scale || __builtin_mul_overflow(whole, scale, &whole))
        return false;
    *bytes = whole;
    return true;
}

static size_t format_with(const struct unit *u, char *out, uint64_t v)
{
    while (v % u->scale)
        u++;
    return (size_t)snprintf(out, TEXT_NUMBER_ROOM, "%llu%s",
                            (unsigned long long)(v / u->scale), u->name);
}

size_t text_format_duration(char out[TEXT_NUMBER_ROOM], uint64_t ms)
{
    if (!ms) /* every unit divides it; seconds read best */
        return (size_t)snprintf(out, TEXT_NUMBER_ROOM, "0s");
    return format_with(duration_units, out, ms);
}

size_t text_format_size(char out[TEXT_NUMBER_ROOM], uint64_t bytes)
{
    if (!bytes)
        return (size_t)snprintf(out, TEXT_NUMBER_ROOM, "0B");
    return format_with(size_units, out, bytes);
}

size_t text_put_u64(char out[20], uint64_t v)
{
    char digits[20];
    size_t n = 0;

    do
        digits[sizeof digits - ++n] = (char)('0' + v % 10);
    while (v /= 10);
    memcpy(out, digits + sizeof digits - n, n);
    return n;
}

/* ---- times ---- */

struct date {
    unsigned year, month, day; /* 0 to 9999, 1 to 12, 1 to 31 */
};

/*
 * Both ways count in years that start on 1 March, so that the leap day is a year's
 * last, and in eras of 400 such years, which all have 146097 days. The months from
 * March on begin on day (153 m + 2) / 5. Day 0 here is 1 March of year 0; 1970 begins
 * at 719468.
 */
#define ERA_DAYS   146097
#define EPOCH_DAYS 719468

static int64_t days_from_date(struct date d)
{
    int64_t year = (int64_t)d.year - (d.month <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned of_era = (unsigned)(year - era * 400);
    unsigned of_year = (153 * ((d.month + 9) % 12) + 2) / 5 + d.day - 1;

    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
           EPOCH_DAYS;
}

static struct date date_from_days(int64_t days)
{
    int64_t z = days + EPOCH_DAYS, era = (z >= 0 ? z : z - (ERA_DAYS - 1)) / ERA_DAYS;
    unsigned of_era = (unsigned)(z - era * ERA_DAYS);
    unsigned years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * years + years / 4 - years / 100);
    unsigned march = (5 * of_year + 2) / 153;
    struct date d;

    d.day = of_year - (153 * march + 2) / 5 + 1;
    d.month = march < 10 ? march + 3 : march - 9;
    d.year = (unsigned)(era * 400 + years + (d.month <= 2));
    return d;
}

static void put2(char *out, unsigned v)
{
    out[0] = (char)('0' + v / 10);
    out[1] = (char)('0' + v % 10);
}

void text_put_time(char out[TEXT_TIME_LEN], int64_t ms)
{
    static const int64_t first = -62167219200000, last = 253402300799999;
    int64_t days;
    unsigned rest;
    struct date d;

    ms = ms < first ? first : ms > last ? last : ms;
    days = ms / DAY_MS - (ms % DAY_MS < 0);
    rest = (unsigned)(ms - days * DAY_MS);
    d = date_from_days(days);
    memcpy(out, "0000-00-00T00:00:00.000Z", TEXT_TIME_LEN);
    put2(out, d.year / 100);
    put2(out + 2, d.year % 100);
    put2(out + 5, d.month);
    put2(out + 8, d.day);
    put2(out + 11, rest / 3600000);
    put2(out + 14, rest / 60000 % 60);
    put2(out + 17, rest / 1000 % 60);
    out[20] = (char)('0' + rest / 100 % 10);
    put2(out + 21, rest % 100);
}

void text_format_time(char out[TEXT_TIME_LEN + 1], int64_t ms)
{
    text_put_time(out, ms);
    out[TEXT_TIME_LEN] = '\0';
}

/* Exactly `n` digits, between min and max. */
static bool take_field(const char **p, const char *end, size_t n, unsigned min,
                       unsigned max, unsigned *out)
{
    uint64_t v;

    if ((size_t)(end - *p) < n || !text_parse_u64(bytes_of(*p, n), min, max, &v))
        return false;
    *p += n;
    *out = (unsigned)v;
    return true;
}

static bool take_char(const char **p, const char *end, char c)
{
    bool letter = c >= 'A'; /* T and Z come in either case */

    if (*p == end || (**p != c && !(letter && **p == (c | 0x20))))
        return false;
    ++*p;
    return true;
}

static unsigned days_in_month(struct date d)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = d.year % 4 == 0 && (d.year % 100 != 0 || d.year % 400 == 0);

    return d.month == 2 && leap ? 29 : days[d.month - 1];
}

static bool take_date(const char **p, const char *end, struct date *d)
{
    return take_field(p, end, 4, 0, 9999, &d->year) && take_char(p, end, '-') &&
           take_field(p, end, 2, 1, 12, &d->month) && take_char(p, end, '-') &&
           take_field(p, end, 2, 1, days_in_month(*d), &d->day);
}

/* Milliseconds of an optional ".678"; more digits are cut. */
static bool take_millis(const char **p, const char *end, unsigned *ms)
{
    unsigned scale = 100;
    const char *start;

    *ms = 0;
    if (*p == end || **p != '.')
        return true;
    for (start = ++*p; *p < end && is_digit(**p); ++*p, scale /= 10)
        *ms += (unsigned)(**p - '0') * scale;
    return *p > start;
}

static bool take_clock(const char **p, const char *end, int64_t *ms)
{
    unsigned hour, minute, second, milli;

    if (!take_field(p, end, 2, 0, 23, &hour) || !take_char(p, end, ':') ||
        !take_field(p, end, 2, 0, 59, &minute) || !take_char(p, end, ':') ||
        !take_field(p, end, 2, 0, minute == 59 ? 60 : 59, &second) ||
        !take_millis(p, end, &milli))
        return false;
    if (second == 60)
        milli = 0;
    *ms = ((hour * 60 + minute) * 60 + second) * INT64_C(1000) + milli;
    return true;
}

/* "Z", "+02:00" or "-05:30", as milliseconds to take away. */
static bool take_zone(const char **p, const char *end, int64_t *ms)
{
    unsigned hours, minutes;
    char sign;

    *ms = 0;
    if (*p == end)
        return false;
    sign = **p;
    if (sign != '+' && sign != '-')
        return take_char(p, end, 'Z');
    ++*p;
    if (!take_field(p, end, 2, 0, 23, &hours) || !take_char(p, end, ':') ||
        !take_field(p, end, 2, 0, 59, &minutes))
        return false;
    *ms = (hours * 60 + minutes) * INT64_C(60000) * (sign == '-' ? -1 : 1);
    return true;
}

bool text_parse_time(struct bytes t, int64_t *ms)
{
    const char *p = t.data, *end = end_of(t);
    int64_t clock, zone;
    struct date d;

    if (!take_date(&p, end, &d) || !take_char(&p, end, 'T') ||
        !take_clock(&p, end, &clock) || !take_zone(&p, end, &zone) || p != end)
        return false;
    *ms = days_from_date(d) * DAY_MS + clock - zone;
    return true;
}

/* ---- text ---- */

static const uint8_t *skip_ascii(const uint8_t *p, const uint8_t *end)
{
    uint64_t eight;

    for (; end - p >= 8; p += 8) {
        memcpy(&eight, p, 8);
        if (eight & 0x8080808080808080u)
            break;
    }
    while (p < end && *p < 0x80)
        p++;
    return p;
}

bool text_is_utf8(struct bytes t)
{
    const uint8_t *p = t.data, *end = end_of(t);
    size_t n;

    while ((p = skip_ascii(p, end)) < end) {
        do {
            n = text_wide_len(p, end);
            if (!n)
                return false;
            p += n;
        } while (p < end && *p >= 0x80);
    }
    return true;
}

bool text_is_plain(struct bytes t)
{
    const uint8_t *p = t.data, *end = end_of(t);
    size_t n;

    for (; p < end; p += n) {
        n = 1;
        if (*p < 0x20 || *p == 0x7f)
            return false;
        if (*p >= 0x80) {
            n = text_wide_len(p, end);
            if (!n || (*p == 0xc2 && p[1] < 0xa0))
                return false;
        }
    }
    return true;
}
