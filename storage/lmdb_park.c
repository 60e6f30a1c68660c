#include "lmdb_internal.h"
enum err lmdb_park_init(struct park *p)
{
    (void)p;
    return ERR_OK;
}
void lmdb_park_fini(struct park *p)
{
    (void)p;
}
enum err lmdb_park_before_append(struct store *s, struct store_topic *t)
{
    t->parked_in = s->txn_number;
    return ERR_OK;
}
enum err lmdb_park_return(struct store *s)
{
    (void)s;
    return ERR_OK;
}
