/*
 * clock - wall time for what is stored and shown, monotonic time for waits.
 *
 * Units:    milliseconds; wall time since 1970-01-01 UTC.
 * Threads:  any.
 * Only broker/ and http/ ask; storage engines are told the time as an argument.
 */
#ifndef SLUICE_CLOCK_H
#define SLUICE_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/* Tests only: wall time becomes `ms` and stands still; a negative value gives it back. */
void clock_fake_wall_ms(int64_t ms);

#endif
