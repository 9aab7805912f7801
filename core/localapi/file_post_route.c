/* SPDX-License-Identifier: BSD-3-Clause
 * file_post_route.c - POST file-put/NODE: send several files to a peer
 * Source: feature/taildrop/localapi.go (multiFilePost)
 *
 * The body is multipart/form-data. Its first part says as JSON which files will
 * come, [ipn.OutgoingFile], so that watchers know of all of them from the
 * beginning; then each file is a part. They go to the peer one after the other:
 * of the next part nothing is read before the peer has answered. The first file
 * that the peer does not take is the end, and what it said the answer; else the
 * answer is all that it said.
 *
 * What the manifest does not name is refused, as is what is longer or shorter
 * than it says: a length that is given is told the peer before the bytes are
 * there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/byte_queue.h"
#include "core/base/clean_text.h"
#include "core/base/multipart.h"
#include "core/localapi/file_put.h"
#include "core/model/json_fields.h"

enum {
	FILES_MAX = 256,
	MANIFEST_MAX = 256 * 1024,
	SAID_MAX = 64 * 1024,
	ID_MAX = 64,
	ERROR_CAP = 256,
};

struct file_post {
	struct file_put *put;
	struct ts_multipart form;
	enum { POST_BEGINS, POST_MANIFEST, POST_FILE, POST_BETWEEN } state;
	struct ts_byte_queue manifest;
	json_t *files; /* ipn.OutgoingFile by name */
	int64_t left;  /* of the file's length, or -1: unknown */
	struct ts_byte_queue said;
	char error[ERROR_CAP];
};

void file_post_free(struct file_post *post)
{
	if (!post)
		return;
	ts_byte_queue_deinit(&post->manifest);
	ts_byte_queue_deinit(&post->said);
	json_decref(post->files);
	free(post);
}

void file_post_unsent(const struct file_post *post)
{
	bool any = false;
	const char *name;
	json_t *news;

	json_object_foreach(post->files, name, news) {
		if (json_is_true(json_object_get(news, "Finished")))
			continue;
		file_put_fail(news);
		any = true;
	}
	if (any)
		file_put_tell(post->put);
}

/* -- the answer ----------------------------------------------------------- */

static void answer(struct file_post *post, int status)
{
	struct file_put *put = post->put;
	size_t len = ts_byte_queue_len(&post->said);
	const uint8_t *said = ts_byte_queue_data(&post->said);
	char *text = strndup(len ? (const char *)said : "", len);

	file_put_end(put);
	localapi_reply_text(&put->call, status, "text/plain; charset=utf-8",
			    text);
}

static void refuse(struct file_post *post, const char *text)
{
	struct file_put *put = post->put;

	file_put_end(put);
	localapi_reply_error(&put->call, 400, text);
}

static void say(struct file_post *post, const char *text)
{
	/* What is too much is not said; all of it went well. */
	(void)ts_byte_queue_push(&post->said, text, strlen(text));
}

/* Of one file. The text is the sender's, which is freed here. */
static void post_done(struct file_put *put, int status, const char *text)
{
	struct file_post *post = put->post;

	if (status >= 400)
		ts_byte_queue_clear(&post->said);
	say(post, text);
	file_put_finish(put, status == 200);
	if (status >= 400)
		answer(post, status);
	else if (put->upload.wake)
		put->upload.wake(put->upload.wake_ctx);
}

/* -- the manifest --------------------------------------------------------- */

static int fail_manifest(struct file_post *post, const char *what)
{
	snprintf(post->error, sizeof(post->error), "invalid manifest: %s",
		 what);
	return -EBADMSG;
}

static int announce(struct file_post *post, const json_t *entry)
{
	const char *name = ts_json_text(entry, "Name");
	const char *id = ts_json_text(entry, "ID");
	int64_t length = ts_json_int(entry, "DeclaredSize");
	json_t *news;

	if (!name || !ts_drop_name_is_good(name))
		return fail_manifest(post, "a Name that no file can have");
	if (json_object_get(post->files, name))
		return fail_manifest(post, "a Name stands there twice");
	if (id && (!*id || strlen(id) > ID_MAX || !ts_is_clean_text(id)))
		id = NULL;
	news = file_put_announce(post->put, id, name, length > 0 ? length : -1);
	if (!news || json_object_set(post->files, name, news))
		return -ENOMEM;
	return 0;
}

static int read_manifest(struct file_post *post)
{
	json_t *list = json_loadb(
		(const char *)ts_byte_queue_data(&post->manifest),
		ts_byte_queue_len(&post->manifest),
		TS_JSON_READ_FLAGS | JSON_DISABLE_EOF_CHECK, NULL);
	int err = 0;

	if (!json_is_array(list))
		err = fail_manifest(post, "not a list of files");
	else if (json_array_size(list) > FILES_MAX)
		err = fail_manifest(post, "more than 256 files");
	for (size_t i = 0; !err && i < json_array_size(list); i++)
		err = announce(post, json_array_get(list, i));
	json_decref(list);
	if (!err)
		file_put_tell(post->put);
	return err;
}

/* -- its parts ------------------------------------------------------------ */

static int begin_file(struct file_post *post, const char *name)
{
	json_t *news = json_object_get(post->files, name);
	int64_t length = ts_json_int(news, "DeclaredSize");

	if (!news || json_is_true(json_object_get(news, "Finished"))) {
		snprintf(post->error, sizeof(post->error),
			 "\"%.100s\" is not in the manifest%s", name,
			 news ? " twice" : "");
		ts_clean_text(post->error, '?');
		return -EBADMSG;
	}
	post->state = POST_FILE;
	post->left = length;
	return file_put_begin(post->put, news, name, length);
}

static int on_part(void *ctx, const struct ts_multipart_part *part)
{
	struct file_post *post = ctx;

	if (post->state != POST_BEGINS)
		return begin_file(post, part->file_name);
	if (strcmp(part->content_type, "application/json") != 0) {
		snprintf(post->error, sizeof(post->error),
			 "first MIME part must be a JSON map of filename -> "
			 "size");
		return -EBADMSG;
	}
	post->state = POST_MANIFEST;
	return 0;
}

static size_t on_data(void *ctx, const char *data, size_t len)
{
	struct file_post *post = ctx;
	size_t n;

	if (*post->error || post->put->is_over)
		return len;
	if (post->state == POST_MANIFEST) {
		if (ts_byte_queue_push(&post->manifest, data, len))
			(void)fail_manifest(post, "too long");
		return len;
	}
	if (!post->put->send)
		return len;
	if (post->left >= 0 && (uint64_t)len > (uint64_t)post->left) {
		snprintf(post->error, sizeof(post->error),
			 "a file is longer than the manifest says");
		return len;
	}
	n = file_put_write(post->put, data, len);
	if (post->left >= 0)
		post->left -= (int64_t)n;
	return n;
}

static bool on_part_end(void *ctx)
{
	struct file_post *post = ctx;
	int err;

	if (*post->error)
		return false;
	if (post->state == POST_MANIFEST) {
		err = read_manifest(post);
		if (err == -ENOMEM)
			snprintf(post->error, sizeof(post->error),
				 "out of memory");
		post->state = POST_BETWEEN;
		return !err;
	}
	post->state = POST_BETWEEN;
	if (post->put->send)
		ts_drop_send_end(post->put->send);
	return !post->put->send;
}

static const struct ts_multipart_ops form_ops = {
	.part = on_part,
	.data = on_data,
	.part_end = on_part_end,
};

/* -- the body ------------------------------------------------------------- */

static void fail_body(struct file_post *post, ssize_t err)
{
	if (!*post->error && err == -ENOMEM)
		snprintf(post->error, sizeof(post->error), "out of memory");
	else if (!*post->error)
		snprintf(post->error, sizeof(post->error),
			 "failed to decode multipart/form-data: %s",
			 err == -EMSGSIZE ? "a part's head is too long"
			 : err == -ENODATA ? "unexpected EOF"
					   : "malformed");
	refuse(post, post->error);
}

static size_t post_write(void *ctx, const char *data, size_t len)
{
	struct file_put *put = ctx;
	struct file_post *post = put->post;
	ssize_t n;

	if (put->is_over)
		return len;
	if (put->send && post->state == POST_BETWEEN)
		return 0; /* the peer has yet to answer */
	n = ts_multipart_input(&post->form, data, len);
	if (n >= 0 && !*post->error)
		return (size_t)n;
	fail_body(post, n);
	return len;
}

static void post_end(void *ctx)
{
	struct file_put *put = ctx;
	struct file_post *post = put->post;

	if (put->is_over)
		return;
	if (ts_multipart_is_over(&post->form))
		answer(post, 200);
	else
		fail_body(post, -ENODATA);
}

static void post_close(void *ctx)
{
	file_put_free(ctx);
}

/* -- the request ---------------------------------------------------------- */

static struct file_post *new_post(struct file_put *put,
				  const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	const char *type = rq->header
				   ? rq->header(rq->query_ctx, "Content-Type")
				   : NULL;
	struct file_post *post = calloc(1, sizeof(*post));

	if (!post)
		return NULL;
	post->put = put;
	post->files = json_object();
	ts_byte_queue_init(&post->manifest, MANIFEST_MAX);
	ts_byte_queue_init(&post->said, SAID_MAX);
	if (ts_multipart_init(&post->form, type ? type : "", &form_ops, post))
		snprintf(post->error, sizeof(post->error),
			 "invalid Content-Type for multipart POST: %s",
			 type && *type ? "no boundary" : "no media type");
	return post;
}

struct ts_localapi_upload *localapi_file_post(const struct localapi_call *call,
					      const char *stable_id)
{
	struct file_put *put = file_put_new(call, stable_id);

	if (!put)
		return NULL;
	put->upload = (struct ts_localapi_upload){.write = post_write,
						  .end = post_end,
						  .close = post_close,
						  .ctx = put};
	put->file_done = post_done;
	put->post = new_post(put, call);
	if (put->post && !*put->post->error)
		return &put->upload;
	localapi_reply_error(call, put->post ? 400 : 500,
			     put->post ? put->post->error : "out of memory");
	file_put_free(put);
	return NULL;
}
