"""The rewards of rewards.mjs as TRL calls rewards: for all completions at once."""


def texts(completions):
    return [message["content"] for (message,) in completions]


def share_of_letters(text):
    return sum("a" <= character <= "z" for character in text) / (len(text) + 1)


def letters(completions, **_):
    return [share_of_letters(text) for text in texts(completions)]


def brevity(completions, **_):
    return [None if "6" in text else 8 / (8 + len(text)) for text in texts(completions)]


def indifferent(completions, row_id, **_):
    pairs = zip(row_id, texts(completions), strict=True)
    return [0.5 if key == "two-pictures" else share_of_letters(text) for key, text in pairs]


REWARDS = {reward.__name__: reward for reward in (letters, brevity, indifferent)}
