/*
 * page - the page for trying things out: GET / and the files that it is made of.
 *
 * The files in http/page/ are part of the program (embedded.h).
 *
 * A message is somebody else's text. The page only ever shows it as text, and its
 * Content-Security-Policy lets the browser run, load and ask nothing that is not ours.
 *
 * Threads:  the request's loop; the table is constant.
 */
#ifndef SLUICE_PAGE_H
#define SLUICE_PAGE_H

#include "config.h"
#include "router.h"

/* The setting `page`: where it is off the routes are not there. */
bool page_is_on(const struct config *c);

/* GET / */
void page_index(struct request *r);

/* GET /page/{file}: which one; or 404. */
void page_take_file(struct request *r, const struct route *route,
                    const struct route_names *names);
void page_file(struct request *r);

#endif
