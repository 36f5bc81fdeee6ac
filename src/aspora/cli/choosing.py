"""Which objects a command is about: those that were named, those that a selector finds, or those somebody meant."""

import argparse
from collections.abc import Generator
from contextlib import contextmanager

from aspora.cli.rest import Rest
from aspora.cli.targets import Target, named, parse_target
from aspora.client.paths import object_path
from aspora.meta.errors import NotFound, StatusError


def chosen_targets(args: argparse.Namespace, rest: Rest, *, default_domain: str) -> list[Target]:
    """The objects of `KIND NAME …`, `KIND/NAME` or `KIND -l SELECTOR`.

    Args:
        args: With `kind`, `names`, `domain` and `selector`.
        default_domain: Of names that say none.

    Raises:
        ValueError: There are neither names nor a selector, or both.
        NotFound: The selector finds nothing.
    """
    word, slash, name = args.kind.partition("/")
    names = named([name, *args.names] if slash else args.names)
    if bool(names) == bool(args.selector):
        how = "names or a selector, not both" if names else f"which {word}: a name such as wealth/create-goal, or -l"
        raise ValueError(f"say {how}")
    resource = rest.resource(word)
    if names:
        return [parse_target(resource, n, domain=args.domain, default_domain=default_domain) for n in names]
    place = parse_target(resource, "", domain=args.domain, default_domain=default_domain)
    found = rest.items(object_path(resource["name"], domain=place.domain), query={"labelSelector": args.selector})
    targets = [Target(resource, o["metadata"].get("domain") or "", o["metadata"]["name"]) for o in found]
    if not targets:
        where = f" in domain {place.domain!r}" if place.domain else ""
        raise NotFound(
            f"no {resource['name']}{where} match {args.selector!r};"
            f" see their labels: aspora get {resource['name']} -o yaml{rest.place}"
        )
    return targets


@contextmanager
def meant_elsewhere(rest: Rest, target: Target) -> Generator[None]:
    """Let a refusal in the block, that there is no such object, name the domain that has one.

    Raises:
        NotFound: As the server said it, with what was probably meant.
    """
    try:
        yield
    except NotFound as e:
        if target.resource["scope"] == "Cluster" or not target.domain:
            raise
        path, query = object_path(target.resource["name"]), {"fieldSelector": f"metadata.name={target.name}"}
        try:
            places = [obj["metadata"].get("domain") for obj in rest.items(path, query=query)]
        except StatusError:
            raise e from None
        others = [f"{domain}/{target.name}" for domain in places if domain and domain != target.domain]
        if not others:
            raise
        told = e.message.partition("; ")[0]
        raise NotFound(f"{told}; did you mean {others[0]!r}?", details=e.details) from None
