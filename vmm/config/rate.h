/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_RATE_H
#define MOTE_CONFIG_RATE_H

/* The rate limits of a device, as a configuration has them. */

#include "devices/rate_limit.h"
#include "vmm/config/schema.h"
#include "vmm/config/settings.h"

extern const struct schema rate_schema; /* of struct rate_limit_config */

/*
 * Takes rate= (bytes a second, K, M, G, T) and ops= (operations a second), with the
 * size of each bucket, burst= and ops-burst= (a second's worth if absent), and what
 * it holds once at the start on top of that, once= and ops-once=.  PREFIX stands
 * before each key, "" for none; CONFIG stays as it is where no key is given.
 */
#define RATE_KEYS "rate", "ops", "burst", "once", "ops-burst", "ops-once"
#define RATE_KEYS_OF(prefix)                                                                       \
    prefix "rate", prefix "ops", prefix "burst", prefix "once", prefix "ops-burst", prefix "ops-once"
int rate_from_settings(struct settings *settings, const char *prefix,
                       struct rate_limit_config *config, struct error *error);

/*
 * TEXT, "rate=10M,tx-rate=1M,…" or "unlimited", as the limits of a device that OPTION adds; what it does not name has no limit.
 * TRANSMIT is NULL for a device with one limit.
 */
int rate_parse(const char *option, const char *text, struct rate_limit_config *receive,
               struct rate_limit_config *transmit, struct error *error);

/* rate= and the like for both directions of a network, unless one has its own. */
int rate_of_directions(struct settings *settings, struct rate_limit_config *receive,
                       struct rate_limit_config *transmit, struct error *error);

/* A size has to come with the time in which it is filled. */
int rate_validate(const char *option, const struct rate_limit_config *config, struct error *error);

/* A row for the limit MEMBER of TYPE, which its option reads itself. */
#define RATE_ROW(name, type, member)                                                               \
    { name, SCHEMA_OBJECT, SCHEMA_FIELD(type, member), .nested = &rate_schema,                      \
      .is_not_for_settings = true }

#endif
