/* SPDX-License-Identifier: BSD-3-Clause
 * filter_json.h - read packet filter rules
 * Source: tailcfg/tailcfg.go (FilterRule), wgengine/filter/tailcfg.go
 */
#ifndef CORE_CONTROL_FILTER_JSON_H
#define CORE_CONTROL_FILTER_JSON_H

#include "core/base/wire.h"
#include "core/model/netmap.h"

/* Read an array of FilterRule at the cursor into named->rules (its name is
 * left alone). A rule with several grants becomes several rules. 0, -EBADMSG,
 * -ENOMEM; on error nothing is left to free. */
int ts_filter_rules_read(struct ts_reader *r, struct ts_named_filter *named);

#endif
