/*
 * pulsar - publishes of Apache Pulsar's REST API, and what its answers must hold.
 *
 *   POST /topics/persistent/public/default/TOPIC
 *   {"messages":[{"payload":"..."},{"payload":"..."}]}
 *
 * All of public/default: the broker under test makes no difference between namespaces.
 */
#ifndef HAMMER_PULSAR_H
#define HAMMER_PULSAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "payload.h"
#include "reply.h"

/* Before an encoded topic: in this API's paths, and in the native API's. */
#define PULSAR_PATH   "/topics/persistent/public/default/"
#define PULSAR_NATIVE "persistent:%2F%2Fpublic%2Fdefault%2F"

/* Bytes of a body with so many payloads of this size. */
size_t pulsar_body_len(uint64_t count, uint64_t size);

/* Writes them, from *first on; pulsar_body_len bytes. */
void pulsar_put_body(char *to, const struct payload *first, uint64_t count);

/* The native offset of the first message; -1: not all of `count` are said to be stored. */
int64_t pulsar_first_offset(const struct reply *r, uint64_t count);

/* An error is one object that says why. */
bool pulsar_says_why(const struct reply *r);

#endif
