/* SPDX-License-Identifier: BSD-3-Clause
 * prefs_edit.h - change some preferences, as ipn.MaskedPrefs says which
 * Source: ipn/prefs.go (MaskedPrefs, ApplyEdits), ipn/ipnlocal/local.go
 *   (adjustEditPrefsLocked)
 */
#ifndef CORE_MODEL_PREFS_EDIT_H
#define CORE_MODEL_PREFS_EDIT_H

#include "core/model/prefs.h"

enum {
	TS_PREFS_TEXT_MAX = 1024, /* bytes of one text */
	TS_PREFS_LIST_MAX = 1024, /* tags, routes, services */
};

enum ts_prefs_edit {
	TS_PREFS_MASKED, /* fields F for which edit says FSet: true */
	TS_PREFS_WHOLE,  /* every field; what edit leaves out is empty */
};

/* Keys and identity stay those of from, whatever edit says.
 * 0; -EBADMSG (a field of the wrong type, or a value that cannot be: err has
 * one line); -EPERM (a field that is not the caller's to set: err); -ENOMEM */
int ts_prefs_edit(const struct ts_prefs *from, const json_t *edit,
		  enum ts_prefs_edit how, struct ts_prefs *out,
		  char err[static 128]);

#endif
