"""Showing output in a notebook, or printing its text where there is none."""


def show(bundle: dict[str, object], *, metadata: dict | None = None, display_id: str | None = None) -> None:
    """Display a MIME bundle; outside IPython print its ``text/plain``."""
    if _in_ipython():
        from IPython.display import display

        display(bundle, raw=True, metadata=metadata, display_id=display_id)
    else:
        print(bundle["text/plain"])


def replace(bundle: dict[str, object], *, display_id: str) -> None:
    """Put ``bundle`` where the output with this ``display_id`` stands; outside IPython do nothing."""
    if _in_ipython():
        from IPython.display import display

        display(bundle, raw=True, display_id=display_id, update=True)


def _in_ipython() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return get_ipython() is not None
